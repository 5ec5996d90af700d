"""What a stage asks for under `meta:` in its `dvc.yaml`, to which DVC gives no meaning of its own."""

import difflib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from annotated_types import Ge, Gt
from pydantic import TypeAdapter, ValidationError

from stages.errors import BadInput

WORTH_RETRYING = frozenset({75, 137, 143})  # "try later" of sysexits.h; SIGKILL (memory is full) and SIGTERM in a shell

Count = Annotated[int, Ge(0)]
Positive = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Settings:
    """Slots, retries and limits of one stage."""

    cpus: Positive = 1  # reserved, not enforced
    gpus: Count = 0
    threads: Positive | None = None  # exported to the libraries that count threads; it may change a model's bits
    retries: Count = 0
    retry_delay: Annotated[float, Ge(0)] = 10.0  # seconds before the first retry, twice as long before each further one
    retry_on: tuple[Annotated[int, Ge(1)], ...] = ()  # exit codes worth a retry, beside WORTH_RETRYING
    timeout: Annotated[float, Gt(0)] | None = None  # seconds that one try may take
    pool: str | None = None  # the work pool of the hosts that it should run on

    def worth_retrying(self, code: int) -> bool:
        """Whether this exit code may be another one next time; −N is a death by signal N."""
        return code < 0 or code in WORTH_RETRYING or code in self.retry_on


NAMES = [setting.name for setting in fields(Settings)]


def settings(meta: Any, where: str) -> Settings:
    """Read a stage's `meta:`; keys that are nobody's misspelling are the user's own and are left alone.

    Raises:
        BadInput: a key that looks like a misspelt one, or a value of the wrong type or out of range.
    """
    if not isinstance(meta, Mapping):
        return Settings()
    for key in meta:
        near = difflib.get_close_matches(str(key).lower(), NAMES, n=1, cutoff=0.75)
        if key not in NAMES and near and str(key).lower()[:3] == near[0][:3]:
            raise BadInput(f"{where}: meta.{key} is not known; did you mean {near[0]}?")
    known = {key: value for key, value in meta.items() if key in NAMES}
    try:
        return TypeAdapter(Settings).validate_json(json.dumps(known, default=str), strict=True)
    except TypeError as error:  # a key that is no text
        raise BadInput(f"{where}: meta: {error}") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in detail["loc"])
        reason = detail["msg"][0].lower() + detail["msg"][1:]
        raise BadInput(f"{where}: meta.{key} is {textwrap.shorten(repr(detail['input']), 80)}: {reason}") from None
