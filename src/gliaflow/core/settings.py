"""What a stage asks for under `meta:` in its `dvc.yaml`, to which DVC gives no meaning of its own."""

import dataclasses
import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated

from gliaflow.errors import BadInput

if TYPE_CHECKING:
    from pydantic import BaseModel

WORTH_RETRYING = frozenset({75, 137, 143})  # "try later" of sysexits.h; SIGKILL (memory is full) and SIGTERM in a shell


@dataclass(frozen=True)
class Settings:
    """Slots, retries and limits of one stage.

    The metadata of each says which values it may have, by the names that pydantic gives to limits.
    """

    cpus: int = field(default=1, metadata={"ge": 1})  # reserved, not enforced
    gpus: int = field(default=0, metadata={"ge": 0})
    # exported to the libraries that count threads; it may change a model's bits
    threads: int | None = field(default=None, metadata={"ge": 1})
    retries: int = field(default=0, metadata={"ge": 0})
    # seconds before the first retry, then twice as long each time
    retry_delay: float = field(default=10.0, metadata={"ge": 0})
    # exit codes worth a retry, beside WORTH_RETRYING
    retry_on: tuple[int, ...] = field(default=(), metadata={"each": {"ge": 1}})
    timeout: float | None = field(default=None, metadata={"gt": 0})  # seconds that one try may take
    pool: str | None = field(default=None, metadata={"is": "pool"})  # the work pool of the hosts that it should run on
    diff: str | None = None  # a command that compares two versions of the outputs, for `gliaflow diff`
    search: str | None = None  # a module with `load` and `train`, for `gliaflow search`
    # bytes of memory that each try may need, the last for all further ones; reserved, not enforced
    mem: tuple[int, ...] = field(default=(), metadata={"is": "mem"})

    def memory(self, number: int = 1) -> int:
        """Bytes that try `number`, from 1, asks for; 0 if the stage does not say."""
        return self.mem[min(number, len(self.mem)) - 1] if self.mem else 0

    def of_try(self, number: int) -> "Settings":
        """What try `number` asks for, from 1."""
        return dataclasses.replace(self, mem=(self.memory(number),)) if self.mem else self

    def worth_retrying(self, code: int) -> bool:
        """Whether this exit code may be another one next time; −N is a death by signal N."""
        return code < 0 or code in WORTH_RETRYING or code in self.retry_on


NAMES = [setting.name for setting in fields(Settings)]
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT])(?:i?B)?", re.IGNORECASE)
UNITS = "KMGT"
KIB = 1024
TENS = 10  # from so many on, without a decimal
SHORT = 5  # letters: of so few the first tell `gpus` from `cpus`, and `pool` from `tool`


def settings(meta: object, where: str) -> Settings:
    """Read a stage's `meta:`; keys that are nobody's misspelling are the user's own and are left alone.

    Raises:
        BadInput: a key that looks like a misspelt one, or a value of the wrong type or out of range.
    """
    if not isinstance(meta, Mapping):
        return Settings()
    for key in meta:
        if key not in NAMES and (meant := _meant(str(key).lower())):
            raise BadInput(f"{where}: meta.{key} is not known; did you mean {meant}?")
    known = {key: value for key, value in meta.items() if key in NAMES}
    return _checked(known, where) if known else Settings()


def _checked(known: Mapping[str, object], where: str) -> Settings:
    """Settings of these values; pydantic, which takes a moment to be imported, is asked only if there are any."""
    from pydantic import ValidationError

    try:
        found = _model().model_validate_json(json.dumps(known, default=str), strict=True)
    except TypeError as error:  # a key that is no text
        raise BadInput(f"{where}: meta: {error}") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in detail["loc"])
        reason = detail["msg"][0].lower() + detail["msg"][1:]
        raise BadInput(f"{where}: meta.{key} is {textwrap.shorten(repr(detail['input']), 80)}: {reason}") from None
    return Settings(**found.model_dump())


@cache
def _model() -> "type[BaseModel]":
    from pydantic import AfterValidator, BeforeValidator, Field, create_model
    from pydantic_core import PydanticCustomError

    def named(pool: str) -> str:
        if not pool.strip() or set(pool) & set("/%&<>"):  # what Prefect allows in no name
            raise PydanticCustomError("pool", "input should be the name of a work pool, without any of / % & < >")
        return pool

    def sizes(given: object) -> tuple[int, ...]:
        found = [_size(one) for one in (given if isinstance(given, list) else [given])]
        if not found or not all(found):
            raise PydanticCustomError("mem", "input should be a size such as 16G or 800M, or a list of them, one a try")
        return tuple(found)

    def declared(one: dataclasses.Field[object]) -> tuple[object, object]:
        limits = dict(one.metadata)
        if each := limits.pop("each", None):
            return tuple[Annotated[int, Field(**each)], ...], one.default
        if (kind := limits.pop("is", None)) == "mem":
            return Annotated[tuple[int, ...], BeforeValidator(sizes)], one.default
        if kind:
            return Annotated[str, AfterValidator(named)] | None, one.default
        return one.type, Field(one.default, **limits)

    checked = {one.name: declared(one) for one in fields(Settings)}
    return create_model("Settings", **checked)  # type: ignore[call-overload, no-any-return]


def _size(given: object) -> int:
    """Bytes, of `16G` or `800MB`, in powers of 1024 as Slurm counts; 0 of anything else."""
    match = SIZE.fullmatch(given.strip()) if isinstance(given, str) else None
    return int(float(match[1]) * KIB ** (1 + UNITS.index(match[2].upper()))) if match else 0


def human(size: int) -> str:
    """`1.5 GB` or `340 MB`, of bytes, in powers of 1024."""
    if size < KIB:
        return f"{size} B"
    power = max(n for n in range(len(UNITS)) if size >= KIB ** (n + 1))
    number = size / KIB ** (power + 1)
    return f"{number:.{0 if number >= TENS or number == int(number) else 1}f} {UNITS[power]}B"


def _meant(key: str) -> str | None:
    """The setting that the key, which is none, is a misspelling of, if it looks like one."""
    for name in NAMES:
        for form in (name, f"{name}s"):
            if _slip(key.replace("-", "_"), form) and (key[0] in name[:2] or len(name) > SHORT):
                return name
    import difflib

    near = difflib.get_close_matches(key, NAMES, n=1, cutoff=0.75)
    return near[0] if near and key[:3] == near[0][:3] else None


def _slip(one: str, other: str) -> bool:
    """Whether one letter is too many, too few or another, or two are swapped."""
    place = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    one, other = one[place:], other[place:]
    return one[1:] in (other, other[1:]) or one == other[1:] or one[1::-1] + one[2:] == other
