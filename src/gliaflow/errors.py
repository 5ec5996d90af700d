"""What can go wrong for a user, as a tree; the exit code tells who has to act.

GliaflowError
├── UserError          exit 2: the user must change something
│   └── BadInput       a file, a setting or a dependency
├── CommandFailed      exit 1: a command of a stage ended with another code than 0
├── NotReproduced      exit 1: stages failed; 2 if the user must change something before they can succeed
└── TransientError     exit 75 (EX_TEMPFAIL): the same command may succeed later
"""

from collections.abc import Sequence


class GliaflowError(Exception):
    """Base of all errors meant for a user; the message tells what, which value and what to do next."""

    exit_code: int = 2


class UserError(GliaflowError):
    """Something that only the user can change."""


class BadInput(UserError):
    """A file or a setting does not hold what it must."""


class TransientError(GliaflowError):
    """A network or a server failed for longer than the engine's own tries."""

    exit_code = 75


class CommandFailed(GliaflowError):
    """A command of a stage ended with another code than 0; its lines told why."""

    exit_code = 1

    def __init__(self, command: str, code: int) -> None:
        super().__init__(f"failed to run: {command}, exited with {code}")
        self.command, self.code = command, code


class NotReproduced(GliaflowError):
    """Stages failed; the cause of the first one is `__cause__`."""

    exit_code = 1

    def __init__(self, addresses: Sequence[str], cause: Exception | None = None) -> None:
        names = " and ".join(filter(None, [", ".join(map(repr, addresses[:-1])), repr(addresses[-1])]))
        self.stages = f"failed to reproduce{' stages:' if addresses[1:] else ''} {names}"  # in DVC's words
        super().__init__(f"{self.stages}: {one_line(cause)}" if cause else self.stages)
        self.addresses = list(addresses)
        self.__cause__ = cause
        if isinstance(cause, UserError | OSError) and not isinstance(cause, PASSING):
            self.exit_code = UserError.exit_code


PASSING = (TimeoutError, ConnectionError, InterruptedError)  # OSErrors that the user need not act on


def one_line(text: object) -> str:
    """The text without line breaks: an error is one line."""
    return " ".join(str(text).split())
