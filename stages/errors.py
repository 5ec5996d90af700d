"""What can go wrong for a user, as a tree; the exit code tells who has to act.

GliaflowError
├── UserError          exit 2: the user must mend something
│   ├── BadParameters  a value in params.yaml
│   ├── BadInput       a file: archive, table, model
│   └── Refused        a service said no: no token, no permission, no such version
└── TransientError     exit 75 (EX_TEMPFAIL): the same command may pass later
"""

from collections.abc import Sequence
from typing import ClassVar

PROBLEMS_SHOWN = 20


class GliaflowError(Exception):
    """Base of all errors meant for a user; the message says what, which value, what to do next."""

    exit_code: ClassVar[int] = 2


class UserError(GliaflowError):
    """Something that only the user can mend."""


class BadParameters(UserError):
    """A parameter is missing, misspelt, of the wrong type or out of range."""


class BadInput(UserError):
    """A file does not hold what it must."""


class Refused(UserError):
    """A service refused for a reason that a retry does not change."""


class TransientError(GliaflowError):
    """A network failure that outlasted the stage's own tries."""

    exit_code: ClassVar[int] = 75


def bad_input(what: str, problems: Sequence[str]) -> BadInput:
    """All `problems` of one file as one error: a line if there is one, else a list of up to 20."""
    if len(problems) == 1:
        return BadInput(f"{what}: {problems[0]}")
    shown = [f"  - {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    more = len(problems) - len(shown)
    rest = [f"  … and {more} more"] if more else []
    return BadInput("\n".join([f"{what}: {len(problems)} problems", *shown, *rest]))
