"""`gliaflow sweep` beside DVC's queue and beside `dvc exp run`, over the same sets of parameters of this pipeline.

    python -m benchmarks.sweep [--alone] [SETS]

Each program gets a clone of this repository with an empty cache, and makes an experiment of each set: of both
regressions and of the network on digits, with few steps. Times are from prompt to prompt, with everything. A `python`
on PATH counts the stages that ran. At the end the tables of `dvc exp show` are compared, and of what gliaflow made one
experiment becomes a branch, one a tag and one a version, before `gliaflow gc` removes the rest. --alone leaves
the other programs out.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.table import Bar
from gliaflow.experiments.grid import sets
from tests.support.repos import GLIAFLOW, ROOT, environment

PARAMS = (
    "regression.train.learning_rate=0.02,0.05",
    "regression.train.epochs=20,40,60",
    "mnist.train.learning_rate=5e-4,1e-3,2e-3,4e-3",
)
TARGETS = ("mnist-evaluate", "regression-evaluate@constant", "regression-evaluate@growing")
FEW = {"    epochs: 10\n    batches: 100 ": "    epochs: 1\n    batches: 20 "}  # in params.yaml
JOBS = 2
DVC = (sys.executable, "-m", "dvc")
LOOK_SECONDS = 0.5
PATIENCE = 3600.0
UP_TO_DATE = "Data and pipelines are up to date."
BARS = {"serial": Bar(1 / 2), "queue": Bar(1)}
PYTHON = """\
#!/bin/sh
echo "$*" >> {log}
exec {python} "$@"
"""


class Contest(NamedTuple):
    """What a program took, and what it made."""

    name: str
    seconds: float
    ran: Counter[str]
    shown: dict[str, Any]


class Clone:
    """A clone of this repository with an empty cache, in which a program makes its experiments."""

    def __init__(self, folder: Path, name: str) -> None:
        self.root, self.log = folder / name, folder / f"{name}.ran"
        self.environment = environment(folder / f"{name}-home")
        shims = folder / f"{name}-bin"
        shims.mkdir()
        for program in ("python", "python3"):
            (shims / program).write_text(PYTHON.format(log=self.log, python=sys.executable))
            (shims / program).chmod(0o755)
        self.environment["PATH"] = os.pathsep.join([str(shims), self.environment["PATH"]])
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.root)], check=True)
        params = self.root / "params.yaml"
        text = params.read_text()
        for old, new in FEW.items():
            assert old in text, f"{params} has no {old!r}"
            text = text.replace(old, new)
        params.write_text(text)
        for key in ("name", "email"):
            self.run("git", "config", f"user.{key}", "benchmark")
        self.run("git", "commit", "-qam", "Few steps")

    def run(self, *line: str) -> str:
        """Run a command that must succeed; what it printed."""
        ended = subprocess.run(line, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            sys.exit(
                f"{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}\nerror: {' '.join(line)}: exit {ended.returncode}"
            )
        return ended.stdout

    def ran(self) -> Counter[str]:
        """How often each stage ran, with which arguments."""
        return Counter(line for line in self.log.read_text().splitlines() if line.startswith("-m stages."))

    def held(self) -> int:
        """The bytes of the files in the cache, run-cache included."""
        return sum(path.lstat().st_size for path in (self.root / ".dvc/cache").rglob("*") if path.is_file())

    def shown(self) -> dict[str, Any]:
        """What `dvc exp show` lists of each experiment, by its parameters, without what differs by its nature."""
        [found] = (one for one in json.loads(self.run(*DVC, "exp", "show", "--json")) if one["rev"] != "workspace")
        rows = {}
        for one in found["experiments"] or []:
            [rev] = one["revs"]
            data = {key: value for key, value in rev["data"].items() if key not in ("rev", "timestamp")}
            rows[json.dumps(data["params"], sort_keys=True)] = data
        return rows


def ours(clone: Clone, params: list[str], count: int) -> None:
    """One command."""
    flags = [flag for one in params for flag in ("-S", one)]
    told = json.loads(clone.run(*GLIAFLOW, "sweep", *flags, "-j", str(JOBS), "--json", *TARGETS))
    assert len(told["experiments"]) == count


def queued(clone: Clone, params: list[str], count: int) -> None:
    """`dvc exp run --queue`, then its workers until nothing is queued or runs."""
    flags = [flag for one in params for flag in ("-S", one)]
    clone.run(*DVC, "exp", "run", "--queue", *flags, *TARGETS)
    clone.run(*DVC, "queue", "start", "-j", str(JOBS))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        text = clone.run(*DVC, "queue", "status")
        if "Queued" not in text and "Running" not in text:
            break
        time.sleep(LOOK_SECONDS)
    states = Counter(line.split()[-1] for line in text.splitlines() if line.split()[-1:] in (["Success"], ["Failed"]))
    print(f"dvc queue: {dict(states)} of {count}", flush=True)
    clone.run(*DVC, "queue", "stop", "--kill")


def serial(clone: Clone, params: list[str], _: int) -> None:
    """One `dvc exp run` after another."""
    for one in sets(params):
        flags = [flag for lines in one.overrides.values() for line in lines for flag in ("-S", line)]
        clone.run(*DVC, "exp", "run", "--temp", *flags, *TARGETS)


def contest(clone: Clone, name: str, make: Callable[[Clone, list[str], int], None], params: list[str]) -> Contest:
    """Have a program make all experiments."""
    count = len(sets(params))
    began = time.perf_counter()
    make(clone, params, count)
    seconds = time.perf_counter() - began
    found = Contest(name, seconds, clone.ran(), clone.shown())
    repeated = sum(found.ran.values())
    print(f"{name}: {seconds:.1f} s, {len(found.shown)} of {count} experiments, {repeated} runs of stages", flush=True)
    return found


def cleaned(clone: Clone) -> bool:
    """Whether `gc` takes what it told of, and all that a branch, a tag or a version names can be restored after it."""
    revs = clone.run("git", "for-each-ref", "--format", "%(objectname)", "refs/exps").split()
    clone.run("git", "branch", "kept", revs[0])
    clone.run("git", "tag", "kept-too", revs[1])
    clone.run("git", "checkout", "-qb", "released", revs[2])
    clone.run(*GLIAFLOW, "repro", "-q", "--no-prefect")  # the stages that no experiment was asked for
    clone.run("git", "commit", "-qam", "All stages")
    remote = clone.root.parent / "remote"
    clone.run("git", "init", "-q", "--bare", str(remote))
    clone.run("git", "remote", "set-url", "origin", str(remote))
    clone.run("git", "push", "-q", "origin", "released")
    clone.run(*DVC, "remote", "add", "-q", "--local", "-d", "store", str(clone.root.parent / "store"))
    clone.run(*GLIAFLOW, "push")
    clone.run(*GLIAFLOW, "publish", "v1")
    clone.run("git", "checkout", "-q", "-")
    clone.run("git", "branch", "-qD", "released")
    clone.run("git", "push", "-q", "origin", ":released")  # so that the version alone names it
    before = clone.held()
    told = json.loads(clone.run(*GLIAFLOW, "gc", "--dry", "--json"))
    unchanged = clone.held() == before
    same = json.loads(clone.run(*GLIAFLOW, "gc", "--json")) == told
    after = clone.held()
    print(f"gc: {len(revs)} experiments, {before:,} bytes in the cache before, {after:,} after")
    print(f"gc --dry changed nothing: {unchanged}; it told what gc did: {same}")
    fine = unchanged and same and after < before
    for name, targets in (("kept", TARGETS), ("kept-too", TARGETS), ("v1", ())):
        clone.run("git", "checkout", "-q", name)
        clone.run(*DVC, "checkout", "-q", *(("--with-deps", *targets) if targets else ()))
        status = clone.run(*DVC, "status", *(("--with-deps", *targets) if targets else ())).strip()
        print(f"{name}: restored from the cache; dvc status: {status}")
        fine &= status == UP_TO_DATE
    return fine


def main() -> None:
    """Run all three and compare."""
    params, words = list(PARAMS), sys.argv[1:]
    programs = {"gliaflow": ours} if "--alone" in words else {"gliaflow": ours, "serial": serial, "queue": queued}
    for count in (word for word in words if word != "--alone"):
        rates = ",".join(f"{1e-3 * (place + 1):g}" for place in range(int(count)))
        params = [f"mnist.train.learning_rate={rates}"]
    with TemporaryDirectory() as home:
        clones = {name: Clone(Path(home), name) for name in programs}
        found = {name: contest(clones[name], name, make, params) for name, make in programs.items()}
        missed = not cleaned(clones["gliaflow"])
    mine = found["gliaflow"]
    for name, bar in BARS.items() if len(found) > 1 else ():
        peer = found[name]
        late = mine.seconds > bar.seconds(peer.seconds)
        missed |= late or mine.shown != found["serial"].shown
        ratio = f"{mine.seconds / peer.seconds:.2f}"
        print(f"gliaflow beside {name}: {ratio} of its time (bar {bar}{', missed' if late else ''})")
    if len(found) > 1:
        print(f"`dvc exp show --json` as that of serial runs: {mine.shown == found['serial'].shown}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
