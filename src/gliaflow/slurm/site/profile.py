"""What a site wants of jobs: a file outside `dvc.yaml`, so that no lock file changes with it.

`.gliaflow/slurm.toml` at the root of the DVC repository, or `.gliaflow/slurm-NAME.toml`. All keys may be left out.
"""

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from gliaflow.errors import BadInput

FOLDER = ".gliaflow"
GPUS = "--gpus={n}"
TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smh])")
MEMORY = re.compile(r"([0-9]+)([KMGT]?)B?", re.IGNORECASE)
MB = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}
LONGEST_SECONDS = 7 * 24 * 3600
QUOTES = "\"'\\"
OURS = frozenset(  # options by which gliaflow finds and follows its jobs
    (
        "--array",
        "-a",
        "--job-name",
        "-J",
        "--comment",
        "--chdir",
        "-D",
        "--output",
        "-o",
        "--error",
        "-e",
        "--input",
        "-i",
    )
) | {"--open-mode", "--requeue", "--wrap", "--wait", "-W", "--parsable", "--test-only"}
UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Profile:
    """How jobs are submitted at one site."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    mem: str = ""
    """Memory of stages that do not say, such as `2G`; the cluster's default, often a whole node, if left out."""
    gpus: str = GPUS
    """What asks for n GPUs, such as `--gres=gpu:a100:{n}`."""
    options: Sequence[str] = field(default_factory=tuple)
    """Further options of sbatch, such as `--nodelist=n1`."""
    setup: Sequence[str] = field(default_factory=tuple)
    """Lines of shell that a job runs first, such as `module load cuda`."""
    jobs: int | None = None
    """How many jobs may be submitted at once; as many as there are stages by default."""
    pack: str = ""
    """How long a job may take that runs several short stages, such as `20m`; no stages share a job if left out."""
    pack_cpus: int = 8
    """How many CPUs such a job may ask for, to run stages side by side; fewer where no node has so many."""
    default: bool = False
    """Whether `gliaflow repro` sends stages to the cluster without being told to."""
    python: str = ""
    """The Python on the nodes that starts the stages; that of this program by default. 3.11 or newer."""

    @property
    def pack_seconds(self) -> float:
        """`pack` in seconds; 0 if stages do not share jobs."""
        match = TIME.fullmatch(self.pack)
        return float(match[1]) * UNITS[match[2]] if match else 0.0

    @property
    def megabytes(self) -> int:
        """`mem` in MB of 2^20 bytes, which is sbatch's own unit; 0 if it is left out."""
        match = MEMORY.fullmatch(self.mem)
        return math.ceil(int(match[1]) * MB[match[2].upper()]) if match else 0

    @property
    def flags(self) -> list[str]:
        """The options of sbatch that do not depend on a stage."""
        named = ("partition", "account", "qos", "constraint")
        return [*(f"--{name}={value}" for name in named if (value := getattr(self, name))), *self.options]


def read_profile(root: Path, name: str = "") -> Profile:
    """The profile of the DVC repository at `root`; that called `name`, if one is named.

    Raises:
        BadInput: the named one is not there, the file is no TOML, or a key or value is wrong.
    """
    path = root / FOLDER / (f"slurm-{name}.toml" if name else "slurm.toml")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.is_symlink():
            raise BadInput(f"{path} is a link to nothing; mend it, or remove it") from None
        if name:
            raise BadInput(f"{path}: no such profile; write it, or leave the name out") from None
        return Profile()
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as TOML: {error}") from None
    return _checked(found, path)


def _checked(found: dict[str, object], path: Path) -> Profile:
    known = {one.name: one for one in fields(Profile)}
    for key, value in found.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise BadInput(f"{path}: {key} is not known; {meant}")
        if wrong := _wrong(known[key], value):
            raise BadInput(f"{path}: {key} is {value!r}: {wrong}")
    if "{n}" not in str(found.get("gpus", GPUS)):
        raise BadInput(f"{path}: gpus is {found['gpus']!r}: it needs {{n}}, for how many")
    made = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    return dataclasses.replace(Profile(), **made)  # type: ignore[arg-type]


def _wrong(one: dataclasses.Field[object], value: object) -> str:
    """What is wrong with a value, if anything."""
    if one.name in ("jobs", "pack_cpus"):
        right = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return "" if right else "it should be a whole number, at least 1"
    if one.name == "default":
        return "" if isinstance(value, bool) else "it should be true or false"
    if one.name == "mem":
        known = isinstance(value, str) and Profile(mem=value).megabytes
        return "" if known or value == "" else "it should be a size such as 2G or 800M"
    if one.name == "pack":
        long = isinstance(value, str) and 0 < Profile(pack=value).pack_seconds <= LONGEST_SECONDS
        return "" if long else "it should be a time such as 20m, 90s or 1h, a week at most"
    if one.name in ("options", "setup"):
        if not isinstance(value, list) or not all(isinstance(line, str) and line.isprintable() for line in value):
            return "it should be a list of texts, a line each"
        return next(filter(None, map(_refused, value)), "") if one.name == "options" else ""
    if not isinstance(value, str) or not value.isprintable():
        return "it should be a text"
    return "it may hold no quote and no backslash" if set(value) & set(QUOTES) and one.name != "python" else ""


def _refused(option: str) -> str:
    """Why an option of sbatch cannot be one of the site's, if so."""
    name = option.partition("=")[0].split()[0] if option.strip() else ""
    if not name.startswith("-"):
        return f"{option!r} should begin with -"
    if set(option) & set(QUOTES):
        return f"{option!r} may hold no quote and no backslash"
    short = name[:2] if not name.startswith("--") else ""
    return f"{short or name} is for gliaflow to say" if name in OURS or short in OURS else ""
