"""Flags that several commands take, and the answer that `--json` asks for."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative="", show_default=False)]
Many = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]  # one value each time it is given
Folder = Annotated[
    Path,
    Parameter(name=("--repo", "--cd"), help="The folder to run in; the current one by default.", show_default=False),
]
RemoteName = Annotated[str | None, Parameter(alias="-r", help="A DVC remote; the default one by default.")]
Jobs = Annotated[int | None, Parameter(alias="-j", help="How many files are copied at once.")]
Json = Annotated[
    Switch, Parameter(name="--json", help="Print the answer as one JSON document, and all else to standard error.")
]
Tell = Callable[[object, Iterable[str]], None]


@contextmanager
def answer(as_json: bool) -> Iterator[Tell]:
    """Yield a function that prints a command's answer, given as plain data for a program and as lines for a person.

    With `as_json` the data is all that reaches standard output. What else is printed inside the block goes to standard
    error.
    """
    output = sys.stdout

    def document(data: object, _: Iterable[str]) -> None:
        print(json.dumps(_finite(data), default=str), file=output)

    def lines(_: object, text: Iterable[str]) -> None:
        for line in text:
            print(line)

    if not as_json:
        yield lines
        return
    with redirect_stdout(sys.stderr):
        yield document


def _finite(data: object) -> object:
    """The data with null for numbers that JSON has no word for."""
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
