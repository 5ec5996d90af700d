"""Slurm's commands: submit, look, cancel; and what their answers mean.

Sites print banners around answers, controllers go away for a while, and accounting may be off: `sacct` is not used.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gliaflow.errors import UserError, one_line

ID = re.compile(r"^(\d+)(?:;\S+)?\s*$", re.MULTILINE)
AWAY = re.compile(
    r"Socket timed out|Unable to contact slurm controller|Connection (?:refused|reset)|Zero Bytes were transmitted"
    r"|temporarily unable|Resource temporarily unavailable|Communication connection failure",
    re.IGNORECASE,
)
KEYS = (  # what Slurm says, and where what it refuses stands
    (r"invalid partition", "partition of the profile"),
    (r"invalid account", "account of the profile"),
    (r"invalid qos", "qos of the profile"),
    (r"invalid feature", "constraint of the profile"),
    (r"memory", "meta.mem, or mem of the profile"),
    (r"generic resource|gres|gpu", "meta.gpus, or gpus of the profile"),
    (r"time limit|--time", "meta.timeout"),
    (r"more processors|cpus? count|--cpus-per-task", "meta.cpus"),
    (r"node configuration is not available", "meta.cpus, meta.mem or meta.gpus"),
    (r"unrecognized option|invalid option|node name", "options of the profile"),
)
NODE = re.compile(r"^(\d+)\+? (\d+)\+? (\S+)\s*$", re.MULTILINE)
FORMAT = "%i|%T|%r|%N|%k"
ASK_SECONDS = 30.0  # that a command may take
AWAY_PAUSE = 5.0  # seconds before a cluster that was away is asked again
OVER = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
"""States of jobs of which nothing more is to come."""


class Refused(UserError):
    """Slurm does not take a job."""


class Away(ConnectionError):
    """The cluster does not answer now; what was asked of it may have been done."""


@dataclass(frozen=True)
class Seen:
    """A job as `squeue` lists it."""

    state: str
    reason: str
    node: str
    comment: str

    @property
    def over(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.state in OVER


def submit(script: Path) -> str:
    """The id of the job that the script became.

    Raises:
        Away: nobody knows whether it became one.
        Refused: it became none; the text tells why, and where to look.
        UserError: there is no sbatch.
    """
    try:
        ended = _run(["sbatch", "--parsable", str(script)], dict(os.environ))
    except FileNotFoundError:
        raise UserError("sbatch is not on the PATH: run where jobs can be submitted, or leave --slurm out") from None
    except subprocess.TimeoutExpired:
        raise Away("sbatch does not answer") from None
    if not ended.returncode and (found := ID.findall(ended.stdout)):
        return str(found[-1])
    lines = [line.partition("error: ")[2] or line for line in ended.stderr.splitlines() if line.strip()]
    if AWAY.search(ended.stderr):
        raise Away(one_line(lines[-1] if lines else "sbatch failed"))
    text = next((line for line in lines if not line.startswith("Batch job submission failed")), "") or " ".join(lines)
    told = "; ".join(dict.fromkeys(lines)) or f"sbatch ended with {ended.returncode} and no word"
    key = next((key for pattern, key in KEYS if re.search(pattern, told, re.IGNORECASE)), "")
    where = f": look at {key}" if key else f" ({text})" if text and text not in told else ""
    raise Refused(f"{told}{where}")


def look(names: Sequence[str]) -> dict[str, Seen] | None:
    """The jobs under these names by id, also those that ended lately; None where nothing can be known now."""
    line = ["squeue", f"--name={','.join(names)}", "--states=all", "--noheader", f"--format={FORMAT}"]
    try:
        ended = _run(line, dict(os.environ))
    except (OSError, subprocess.TimeoutExpired):
        return None
    if ended.returncode:
        return None
    found = dict[str, Seen]()
    for row in ended.stdout.splitlines():
        number, bar, rest = row.strip().partition("|")
        if bar and number.isdigit() and rest.count("|") >= 3:
            state, reason, node, comment = rest.split("|", 3)
            found[number] = Seen(state, reason, node, comment)
    return found


@dataclass(frozen=True)
class Node:
    """A kind of node; of several, the least that they have."""

    cpus: int
    megabytes: int
    gpus: bool


def nodes(partition: str) -> list[Node]:
    """The kinds of nodes of a partition, or of all; nothing where the cluster does not answer."""
    line = ["sinfo", "--noheader", "--format=%c %m %G", *([f"--partition={partition}"] if partition else [])]
    try:
        ended = _run(line, dict(os.environ))
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [Node(int(cpus), int(memory), "gpu" in more) for cpus, memory, more in NODE.findall(ended.stdout)]


def cancel(ids: Sequence[str]) -> bool:
    """End jobs; whether Slurm has taken note."""
    try:
        ended = _run(["scancel", *ids], dict(os.environ))
    except (OSError, subprocess.TimeoutExpired):
        return False
    return not ended.returncode or not AWAY.search(ended.stderr)


def _run(line: Sequence[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """In a session of its own, so that a Ctrl-C cannot cut off an answer."""
    return subprocess.run(
        line,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=ASK_SECONDS,
        check=False,
        start_new_session=True,
        env=environment,
    )
