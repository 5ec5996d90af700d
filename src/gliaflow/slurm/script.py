"""The script of a job, as `sbatch` takes it: what the stage asks for, what the site wants, and the wrapper."""

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from gliaflow.core.settings import Settings
from gliaflow.machine.spawn import GRACE_SECONDS, ROOT
from gliaflow.slurm.profile import Profile

PROGRAM = "import sys; sys.path.append(sys.argv[1]); from gliaflow.slurm.wrapper import main; main(sys.argv[2])"
WARN_SECONDS = 60  # between Slurm's signal and the end of a job's time
MIB = 1 << 20
OUTPUT = "out"  # what the job prints that no command printed


def script(
    address: str,
    settings: Settings,
    profile: Profile,
    folder: Path,
    *,
    name: str,
    comment: str,
    cwd: str,
    number: int = 1,
    exclude: Sequence[str] = (),
) -> str:
    """The script of try `number` of a stage, which works in `folder`, under the name of its run."""
    flags = [f"--job-name={name}", f"--comment={comment}", f"--chdir={cwd}", "--no-requeue"]
    flags += [f"--output={str(folder / OUTPUT).replace('%', '%%')}", "--open-mode=append"]
    flags += [*wanted(settings, profile, number), *profile.flags]
    if exclude:
        flags.append(f"--exclude={','.join(exclude)}")
    program = shlex.join([profile.python or sys.executable, "-I", "-S", "-c", PROGRAM, str(ROOT), str(folder)])
    lines = ["#!/bin/sh", f"# stage {shown(address)}", *(f"#SBATCH {_quoted(flag)}" for flag in flags), *profile.setup]
    return "\n".join([*lines, f"exec {program}", ""])


def wanted(settings: Settings, profile: Profile, number: int = 1) -> list[str]:
    """The options for what a stage asks for; a limit of time leaves the wrapper the last word."""
    flags = ["--ntasks=1", f"--cpus-per-task={settings.cpus}"]
    memory = settings.memory(number)
    if memory or profile.mem:
        flags.append(f"--mem={math.ceil(memory / MIB)}M" if memory else f"--mem={profile.mem}")
    if settings.gpus:
        flags.append(profile.gpus.replace("{n}", str(settings.gpus)))
    if settings.timeout:
        minutes = math.ceil((settings.timeout + GRACE_SECONDS + WARN_SECONDS) / 60)
        flags.append(f"--time={minutes}")
    return [*flags, f"--signal=B:TERM@{WARN_SECONDS}"]


def shown(address: str) -> str:
    """The name of a stage without what a line of Slurm's cannot hold."""
    return "".join(letter if letter.isprintable() and letter not in '|"\\' else "_" for letter in address)


def _quoted(flag: str) -> str:
    option, equals, value = flag.partition("=")
    plain = all(letter.isalnum() or letter in "_@%+=:,./-" for letter in value)
    return flag if plain else f'{option}{equals}"{value}"'
