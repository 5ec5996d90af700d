"""What Slurm's commands print, and what it means: banners, refusals, and a controller that is away."""

from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.slurm.site.commands import Away, Node, Refused, Seen, cancel, look, nodes, submit
from tests.gliaflow.slurm.programs import Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return Programs(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("printed", "number"),
    [
        ("123", "123"),
        ("123;cluster", "123"),
        ("Welcome to 2026!\\n12 nodes are down\\n 9\\n4567\\n", "4567"),
        ("*** 42 ***\\n77;big\\nGood luck", "77"),
    ],
)
def test_the_id_stands_between_banners(programs: Programs, printed: str, number: str) -> None:
    programs.put("sbatch", f"printf '{printed}'; echo a warning >&2")
    assert submit(Path("script.sh")) == number
    assert programs.calls("sbatch") == ["--parsable script.sh"]


@pytest.mark.parametrize(
    ("said", "key"),
    [
        (
            "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid",
            "partition",
        ),
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination", "account"),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", "qos"),
        ("sbatch: error: Batch job submission failed: Invalid feature specification", "constraint"),
        ("sbatch: error: Memory specification can not be satisfied", "meta.mem"),
        ("sbatch: error: Invalid generic resource (gres) specification", "meta.gpus"),
        ("sbatch: error: Batch job submission failed: Requested time limit is invalid", "meta.timeout"),
        ("sbatch: error: Requested node configuration is not available", "meta.cpus, meta.mem or meta.gpus"),
        ("sbatch: unrecognized option '--foo=1'\nTry 'sbatch --help' for more information", "options of the profile"),
    ],
)
def test_a_refusal_names_the_key(programs: Programs, said: str, key: str) -> None:
    programs.put("sbatch", f"cat >&2 <<'X'\n{said}\nX\nexit 1")
    with pytest.raises(Refused) as caught:
        submit(Path("script.sh"))
    text = str(caught.value)
    assert f"look at {key}" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
    ],
)
def test_a_controller_that_is_away_may_come_back(programs: Programs, said: str) -> None:
    programs.put("sbatch", f"echo '{said}' >&2; exit 1")
    with pytest.raises(Away):
        submit(Path("script.sh"))


def test_without_sbatch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch is not on the PATH"):
        submit(Path("script.sh"))


def test_jobs_are_listed_by_one_call(programs: Programs) -> None:
    programs.put("squeue", "echo Banner; echo '5|CANCELLED|None||3 ab'; echo '6|RUNNING|None|n1|4 a|b'; echo '7|x'")
    assert look(["gliaflow-a", "gliaflow-b"]) == {
        "5": Seen("CANCELLED", "None", "", "3 ab"),
        "6": Seen("RUNNING", "None", "n1", "4 a|b"),
    }
    (line,) = programs.calls("squeue")
    assert "--name=gliaflow-a,gliaflow-b --states=all" in line


def test_a_look_that_fails_tells_nothing(programs: Programs) -> None:
    programs.put("squeue", "echo '5|RUNNING|None|n|c'; exit 1")
    assert look(["a"]) is None


def test_all_are_cancelled_by_one_call(programs: Programs) -> None:
    programs.put("scancel", "exit 0")
    assert cancel(["1", "2", "3"])
    assert programs.calls("scancel") == ["1 2 3"]
    programs.put("scancel", "echo 'scancel: error: Kill job error on job id 1: Invalid job id specified' >&2; exit 1")
    assert cancel(["1"])
    programs.put("scancel", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert not cancel(["1"])


def test_the_room_of_nodes(programs: Programs) -> None:
    programs.put("sinfo", "echo '*** banner ***'; echo '64 256000 gpu:a100:4(S:0-1)'; echo '24+ 64000+ (null)'")
    assert nodes("gpu") == [Node(64, 256000, gpus=True), Node(24, 64000, gpus=False)]
    assert programs.calls("sinfo") == ["--noheader --format=%c %m %G --partition=gpu"]
    assert nodes("")
    assert programs.calls("sinfo")[1] == "--noheader --format=%c %m %G"


def test_of_a_cluster_that_does_not_answer_no_nodes_are_known(programs: Programs) -> None:
    programs.put("sinfo", "exit 1")
    assert nodes("") == []
