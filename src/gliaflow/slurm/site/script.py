"""The script of a job, as `sbatch` takes it: what its stages ask for, what the site wants, and the wrapper."""

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from gliaflow.core.settings import Settings
from gliaflow.machine.spawn import GRACE_SECONDS, ROOT
from gliaflow.slurm.site.profile import Profile

PROGRAM = "import sys; sys.path.append(sys.argv[1]); from gliaflow.slurm.wrapper import main; main(*sys.argv[2:])"
WARN_SECONDS = 60  # between Slurm's signal and the end of a job's time
MIB = 1 << 20
OUTPUT = "out"  # what the job prints that no command printed


def script(
    addresses: Sequence[str],
    flags: Sequence[str],
    profile: Profile,
    folders: Sequence[Path],
    *,
    name: str,
    comment: str,
    cwd: str,
    width: int = 1,
) -> str:
    """The script of a job with these `flags`, of whose stages `width` run at once, each in its folder."""
    own = [f"--job-name={name}", f"--comment={comment}", f"--chdir={cwd}", "--no-requeue"]
    own += [f"--output={str(folders[0] / OUTPUT).replace('%', '%%')}", "--open-mode=append"]
    start = [profile.python or sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT)]
    return "\n".join(
        [
            "#!/bin/sh",
            *(f"# stage {shown(address)}" for address in addresses),
            *(f"#SBATCH {_quoted(flag)}" for flag in [*own, *flags]),
            *profile.setup,
            f"exec {shlex.join([*start, str(width), *map(str, folders)])}",
            "",
        ]
    )


def wanted(
    settings: Settings, profile: Profile, number: int = 1, exclude: Sequence[str] = (), times: int = 1
) -> list[str]:
    """The options for what try `number` asks for, so many `times`, and the site; those of time are in `limit`."""
    flags = ["--ntasks=1", f"--cpus-per-task={times * settings.cpus}"]
    if memory := megabytes(settings, profile, number):
        flags.append(f"--mem={times * memory}M")
    if settings.gpus:
        flags.append(profile.gpus.replace("{n}", str(settings.gpus)))
    return [*flags, *profile.flags, *([f"--exclude={','.join(exclude)}"] if exclude else [])]


def megabytes(settings: Settings, profile: Profile, number: int = 1) -> int:
    """What try `number` of a stage asks for, in MB of 2^20 bytes; 0 if neither it nor the site says."""
    return math.ceil(settings.memory(number) / MIB) or profile.megabytes


def limit(stages: Sequence[Settings], width: int = 1) -> list[str]:
    """The options of a job's time, of which `width` stages run at once; all that is known is timeouts of all.

    The limit leaves the wrapper the last word.
    """
    flags = [f"--signal=B:TERM@{WARN_SECONDS}"]
    long = [one.timeout + GRACE_SECONDS for one in stages if one.timeout]
    if len(long) < len(stages):
        return flags
    most = sum(long) if width == 1 else sum(long) / width + max(long)  # however they fall on the lanes
    return [f"--time={math.ceil((most + WARN_SECONDS) / 60)}", *flags]


def shown(address: str) -> str:
    """The name of a stage without what a line of Slurm's cannot hold."""
    return "".join(letter if letter.isprintable() and letter not in '|"\\' else "_" for letter in address)


def _quoted(flag: str) -> str:
    option, equals, value = flag.partition("=")
    plain = all(letter.isalnum() or letter in "_@%+=:,./-" for letter in value)
    return flag if plain else f'{option}{equals}"{value}"'
