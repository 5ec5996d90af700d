import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gliaflow.core.settings import Settings
from gliaflow.resources.slots import THREADS, SlotLease, Slots, visible_gpus
from tests.support.repos import SOURCE

HOLD = (
    "import os, sys, time\n"
    "from gliaflow.resources.slots import Slots\n"
    "from gliaflow.core.settings import Settings\n"
    "wanted = Settings(cpus=int(sys.argv[2]), gpus=int(sys.argv[3]))\n"
    "lease = Slots(int(sys.argv[1]), os.environ).acquire(wanted, 'train')\n"
    "print(lease and dict(lease.environment), flush=True)\n"
    "time.sleep(1200)\n"
)


class Machine:
    """A machine of as many GPUs as its nvidia-smi lists, with slots of its own."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.slots = folder / "bin", folder / "slots"
        self.programs.mkdir()
        self.processes: list[subprocess.Popen[str]] = []

    def nvidia_smi(self, *lines: str, code: int = 0) -> None:
        """Put a program on PATH that prints `lines` for each GPU's index and UUID."""
        shown = "".join(f"echo '{line}'; " for line in lines)
        query = f'case "$*" in *--query-gpu=index,uuid*) {shown};; *) exit 2 ;; esac'.replace("; ;;", " ;;")
        (self.programs / "nvidia-smi").write_text(f"#!/bin/sh\n{query}\nexit {code}\n")
        (self.programs / "nvidia-smi").chmod(0o755)

    def environment(self, visible: str | None = None) -> dict[str, str]:
        """That of a flow; `visible` is its CUDA_VISIBLE_DEVICES."""
        chosen = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        return {"PATH": str(self.programs), "GLIAFLOW_SLOTS": str(self.slots), **chosen}

    def of(self, cpus: int, visible: str | None = None) -> Slots:
        """The slots that a flow sees."""
        return Slots(cpus, self.environment(visible))

    def hold(self, cpus: int, wanted: int, gpus: int = 0) -> "tuple[subprocess.Popen[str], str]":
        """Acquire slots in a process that then waits, and what it got."""
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(cpus), str(wanted), str(gpus)],
            env={**self.environment(), "PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout
        return process, process.stdout.readline().strip()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


@pytest.fixture
def two_gpus(machine: Machine) -> Machine:
    machine.nvidia_smi("0, GPU-aaaa", "1, GPU-bbbb")
    return machine


def got(lease: SlotLease | None) -> SlotLease:
    assert lease
    return lease


def test_each_of_two_stages_gets_a_gpu_of_its_own(two_gpus: Machine) -> None:
    slots = two_gpus.of(4)
    first, second = (got(slots.acquire(Settings(gpus=1))) for _ in range(2))
    assert [lease.environment["CUDA_VISIBLE_DEVICES"] for lease in (first, second)] == ["0", "1"]
    assert slots.acquire(Settings(gpus=1)) is None
    first.release()
    third = got(slots.acquire(Settings(gpus=1)))
    assert third.environment == {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    second.release()
    third.release()


def test_one_gpu_serves_one_stage_after_the_other(machine: Machine) -> None:
    machine.nvidia_smi("0, GPU-aaaa")
    slots = machine.of(4)
    for _ in range(3):
        lease = got(slots.acquire(Settings(gpus=1)))
        assert lease.environment["CUDA_VISIBLE_DEVICES"] == "0"
        assert slots.acquire(Settings(gpus=1)) is None
        lease.release()


@pytest.mark.parametrize("wanted", [2, 5])
def test_a_stage_may_have_all_gpus_and_no_more(two_gpus: Machine, wanted: int) -> None:
    slots = two_gpus.of(4)
    one = got(slots.acquire(Settings(gpus=1)))
    assert slots.acquire(Settings(gpus=wanted)) is None
    one.release()
    both = got(slots.acquire(Settings(gpus=wanted)))
    assert both.slots == ("cpu-0", "gpu-GPU-aaaa", "gpu-GPU-bbbb")
    assert both.environment["CUDA_VISIBLE_DEVICES"] == "0,1"
    both.release()


def test_what_is_not_enough_is_left_to_others(two_gpus: Machine) -> None:
    slots = two_gpus.of(3)
    one = got(slots.acquire(Settings(cpus=1, gpus=1)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert slots.acquire(Settings(cpus=3)) is None
    assert slots.acquire(Settings(cpus=2, gpus=2)) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    rest = got(slots.acquire(Settings(cpus=2, gpus=1)))
    one.release()
    rest.release()


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["0", "1", "2"]),
        ("1", ["1"]),
        ("2,0", ["2", "0"]),
        (" 2 , 0 ", ["2", "0"]),
        ("GPU-bbbb", ["GPU-bbbb"]),
        ("GPU-bbbb,0", ["GPU-bbbb", "0"]),
        ("", []),
        (" ", []),
        ("-1", []),
        ("7", []),
        ("1,7,0", ["1"]),
        ("0,-1,1", ["0"]),
    ],
)
def test_only_gpus_that_the_environment_leaves_visible(machine: Machine, visible: str | None, names: list[str]) -> None:
    machine.nvidia_smi("0, GPU-aaaa", "1, GPU-bbbb", "2, GPU-cccc")
    assert [gpu.name for gpu in visible_gpus(machine.environment(visible))] == names
    lease = got(machine.of(1, visible).acquire(Settings(gpus=3)))
    assert lease.environment.get("CUDA_VISIBLE_DEVICES") == (",".join(names) or None)
    lease.release()


def test_a_choice_of_the_users_keeps_its_order_of_counting(two_gpus: Machine) -> None:
    lease = got(two_gpus.of(1, "1").acquire(Settings(gpus=1)))
    assert lease.environment == {"CUDA_VISIBLE_DEVICES": "1"}
    lease.release()


@pytest.mark.parametrize("other", ["1", "GPU-bbbb", "1,0"])
def test_a_gpu_is_one_slot_by_whatever_name(two_gpus: Machine, other: str) -> None:
    lease = got(two_gpus.of(2, "GPU-bbbb").acquire(Settings(gpus=1)))
    assert two_gpus.of(2, other).acquire(Settings(gpus=2)) is None
    lease.release()


def test_a_short_uuid_is_the_same_gpu(two_gpus: Machine) -> None:
    lease = got(two_gpus.of(2, "GPU-bb").acquire(Settings(gpus=1)))
    assert two_gpus.of(2, "1").acquire(Settings(gpus=1)) is None
    lease.release()


@pytest.mark.parametrize("visible", ["0,0", "0,GPU-aaaa"])
def test_a_gpu_that_is_named_twice_keeps_no_stage_waiting_for_ever(two_gpus: Machine, visible: str) -> None:
    lease = got(two_gpus.of(2, visible).acquire(Settings(gpus=2)))
    lease.release()


def test_an_empty_name_is_no_gpu(two_gpus: Machine) -> None:
    assert [gpu.name for gpu in visible_gpus(two_gpus.environment("0,1,"))] == ["0", "1"]


def test_part_of_a_gpu_in_the_older_spelling(two_gpus: Machine) -> None:
    lease = got(two_gpus.of(2, "MIG-GPU-aaaa/1/0").acquire(Settings(gpus=1)))
    assert lease.environment == {"CUDA_VISIBLE_DEVICES": "MIG-GPU-aaaa/1/0"}
    lease.release()


@pytest.mark.parametrize("how", ["none", "fails", "rubbish", "hidden"])
def test_without_a_gpu_those_that_ask_for_one_run_one_by_one(machine: Machine, how: str) -> None:
    if how == "fails":
        machine.nvidia_smi("No devices were found", code=6)
    elif how != "none":
        machine.nvidia_smi("No devices were found" if how == "rubbish" else "0, GPU-aaaa")
    slots = machine.of(4, "" if how == "hidden" else None)
    assert slots.gpus == ()
    lease = got(slots.acquire(Settings(gpus=2)))
    assert lease.environment == {}
    assert slots.acquire(Settings(gpus=1)) is None
    beside = got(slots.acquire(Settings(cpus=3)))
    lease.release()
    after = got(slots.acquire(Settings(gpus=1)))
    beside.release()
    after.release()


def test_a_stage_that_wants_more_cpus_than_there_are_gets_all(machine: Machine) -> None:
    slots = machine.of(2)
    lease = got(slots.acquire(Settings(cpus=16)))
    assert len(lease.descriptors) == 2
    assert slots.acquire(Settings()) is None
    lease.release()


def test_threads_are_exported_only_if_the_stage_says_how_many(machine: Machine) -> None:
    slots = machine.of(4)
    silent, three = got(slots.acquire(Settings(cpus=2))), got(slots.acquire(Settings(threads=3)))
    assert silent.environment == {}
    assert three.environment == dict.fromkeys(THREADS, "3")
    silent.release()
    three.release()


def test_flows_of_one_process_share_the_slots(machine: Machine) -> None:
    here, there = machine.of(2), machine.of(2)
    lease = got(here.acquire(Settings()))
    assert there.acquire(Settings(cpus=2)) is None
    other = got(there.acquire(Settings()))
    assert here.acquire(Settings()) is None
    lease.release()
    other.release()


def test_flows_of_two_processes_share_the_slots_and_a_killed_one_lets_go(two_gpus: Machine) -> None:
    process, theirs = two_gpus.hold(2, 1, gpus=1)
    assert theirs == "{'CUDA_VISIBLE_DEVICES': '0', 'CUDA_DEVICE_ORDER': 'PCI_BUS_ID'}"
    slots = two_gpus.of(2)
    assert slots.acquire(Settings(cpus=2)) is None
    assert slots.acquire(Settings(gpus=2)) is None
    one = got(slots.acquire(Settings(gpus=1)))
    assert one.environment["CUDA_VISIBLE_DEVICES"] == "1"
    one.release()
    process.send_signal(signal.SIGKILL)
    process.wait()
    both = got(slots.acquire(Settings(cpus=2, gpus=2)))
    assert two_gpus.hold(2, 1)[1] == "None"
    both.release()


def test_a_lease_is_held_until_the_last_that_inherited_it_has_ended(machine: Machine) -> None:
    slots = machine.of(1)
    lease = got(slots.acquire(Settings()))
    with subprocess.Popen(["sleep", "20"], pass_fds=lease.descriptors) as heir:
        lease.release()
        assert slots.acquire(Settings()) is None
        heir.kill()
        heir.wait()
        got(slots.acquire(Settings())).release()


def test_a_lease_is_not_inherited_by_accident(machine: Machine) -> None:
    slots = machine.of(1)
    lease = got(slots.acquire(Settings()))
    with subprocess.Popen(["sleep", "20"], close_fds=False) as stranger:
        lease.release()
        got(slots.acquire(Settings())).release()
        stranger.kill()


def test_locks_are_for_every_user(machine: Machine) -> None:
    mask = os.umask(0o077)
    try:
        got(machine.of(1).acquire(Settings())).release()
    finally:
        os.umask(mask)
    assert machine.slots.stat().st_mode & 0o7777 == 0o1777
    assert [path.stat().st_mode & 0o777 for path in machine.slots.iterdir()] == [0o666]


def test_who_waits_is_told_what_is_lacking_and_which_stage_has_it(two_gpus: Machine) -> None:
    slots = two_gpus.of(2)
    assert slots.holders(Settings(cpus=2, gpus=2)) == ""
    one = got(slots.acquire(Settings(gpus=1), "train"))
    assert slots.holders(Settings(gpus=1)) == ""
    assert slots.holders(Settings(gpus=2)) == "a GPU that stage 'train' of this run holds"
    two = got(slots.acquire(Settings(gpus=1), "score"))
    both = "2 GPUs that stage 'train' of this run and stage 'score' of this run hold"
    assert slots.holders(Settings(cpus=2, gpus=2)) == f"{both}, and {both.replace('GPU', 'CPU')}"
    assert slots.holders(Settings(cpus=1)) == ""  # what anybody expects
    one.release()
    assert slots.holders(Settings(cpus=2)) == "a CPU that stage 'score' of this run holds"
    two.release()
    assert slots.holders(Settings(cpus=2, gpus=2)) == ""


def test_another_run_is_told_by_its_stage_its_folder_and_its_process(machine: Machine) -> None:
    process, _ = machine.hold(1, 1)
    slots = machine.of(1)
    held = f"a CPU that stage 'train' of {Path.cwd()} (pid {process.pid}) holds"
    assert slots.holders(Settings()) == held
    process.kill()
    process.wait()
    assert slots.holders(Settings()) == ""
    assert slots.acquire(Settings(), "mine")  # over the text that the killed one left
    assert slots.holders(Settings(cpus=2)) == "a CPU that stage 'mine' of this run holds"


@pytest.mark.parametrize("text", ["", "rubbish", "{}", '{"stage": 1}', '["train"]', "null", "\udcff"])
def test_of_a_holder_that_wrote_nothing_of_use_only_that_it_is_there_is_told(machine: Machine, text: str) -> None:
    slots = machine.of(1)
    lease = got(slots.acquire(Settings(), "train"))
    (machine.slots / "cpu-0").write_bytes(text.encode(errors="surrogateescape"))
    assert slots.holders(Settings()) == "a CPU that another run on this machine holds"
    lease.release()


def test_a_slot_that_a_killed_runs_stage_still_holds_is_not_told_under_its_name(machine: Machine) -> None:
    """Nor under that of a later process that has its pid."""
    slots = machine.of(1)
    lease = got(slots.acquire(Settings(), "train"))
    path = machine.slots / "cpu-0"
    for changed in ({"pid": 2**30}, {"started": "0"}):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
        assert slots.holders(Settings()) == "a CPU that another run on this machine holds"
    lease.release()
    assert path.read_text() == ""  # so that nobody is told of it before the next holder has written


def test_what_is_tried_and_not_taken_leaves_no_name(two_gpus: Machine) -> None:
    slots = two_gpus.of(1)
    lease = got(slots.acquire(Settings(gpus=2), "train"))
    assert slots.acquire(Settings(), "other") is None
    assert slots.holders(Settings(cpus=1, gpus=1)) == "a GPU that stage 'train' of this run holds"
    lease.release()


def test_many_holders_are_counted(machine: Machine) -> None:
    slots = machine.of(5)
    leases = [got(slots.acquire(Settings(), name)) for name in "abcde"]
    three = "stage 'a' of this run, stage 'b' of this run, stage 'c' of this run"
    assert slots.holders(Settings(cpus=5)) == f"5 CPUs that {three} and 2 more hold"
    for lease in leases:
        lease.release()
