"""What can go wrong for a user, as a tree; the exit code tells who has to act.

GliaflowError
├── UserError          exit 2: the user must change something
│   └── BadInput       a file, a setting or a dependency
├── CommandFailed      exit 1: a command of a stage ended with another code than 0
│   └── CannotRun      exit 2, a UserError too: the command, or one in it, could not be started
├── NotDeclared        exit 1: stages import what they do not declare
├── SomeFailed         exit 1: of many experiments some failed; 2 if the user must change something for each
├── NotReproduced      exit 1: stages failed; 2 if the user must change something before they can succeed
└── TransientError     exit 75 (EX_TEMPFAIL): the same command may succeed later
"""

import errno
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence

COLUMNS = 100  # of the last line of a run that failed
FEWEST = 25  # columns that the cause has in it, however long the name of the stage is
WORDY = 35  # columns of an end that tells enough by itself
GOES_ON = "the same command goes on where this one ended"  # of many experiments that an interrupt ended
MARK = "…"  # stands for what was cut out


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
    """A command of a stage ended with another code than 0.

    `code` is −N where signal N ended the command, as DVC counts. `cause` is the command's own last word on it, and
    `ending` how it ended, in words.
    """

    exit_code = 1

    def __init__(self, command: str, code: int, cause: str = "", ending: str = "") -> None:
        self.command, self.code, self.cause = command, code, one_line(cause)
        self.ending = ending or how_it_ended(code)
        super().__init__(self.within(COLUMNS))

    def within(self, columns: int) -> str:
        """How the command ended and why, cut to so many columns; of one that gave no reason, the command itself."""
        left = columns - len(self.ending) - len(": ")
        if (left < FEWEST or not self.cause) and len(self.ending) > WORDY:
            return self.ending  # which tells enough
        return f"{self.ending}: {cut(self.cause or one_line(self.command), max(left, FEWEST))}"


class NotDeclared(GliaflowError):
    """Stages import files that they do not declare; `files` are those of each stage."""

    exit_code = 1

    def __init__(self, files: Mapping[str, Sequence[str]]) -> None:
        count = sum(map(len, files.values()))
        many = f"{count} imported file{'s' if count > 1 else ''} of {len(files)} stage{'s' if len(files) > 1 else ''}"
        super().__init__(
            f"{many} {'are' if count > 1 else 'is'} not declared; `gliaflow check --fix` adds them to deps"
        )
        self.files = dict(files)


class SomeFailed(GliaflowError):
    """Of many experiments some failed; `user` tells that each needs a change by the user before it can succeed."""

    def __init__(self, text: str, user: bool) -> None:
        super().__init__(text)
        self.exit_code = 2 if user else 1


class CannotRun(CommandFailed, UserError):
    """A command of a stage, or one in it, could not be started; `obstacle` is what keeps it from that, if known."""

    exit_code = 2

    def __init__(self, command: str, code: int, obstacle: str = "", cause: str = "") -> None:
        self.obstacle = one_line(obstacle)
        super().__init__(command, code, cause)

    def within(self, columns: int) -> str:
        """The obstacle alone, whole, since it says what to do; of one that is not known, what a failure says."""
        return self.obstacle or super().within(columns)


class Interrupted(KeyboardInterrupt):
    """A signal ends the run, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal_name(number)}")
        self.number = number


class NotReproduced(GliaflowError):
    """Stages failed; the cause of the first one is `__cause__`."""

    exit_code = 1

    def __init__(self, addresses: Sequence[str], cause: Exception | None = None) -> None:
        names = " and ".join(filter(None, [", ".join(map(repr, addresses[:-1])), repr(addresses[-1])]))
        self.stages = f"failed to reproduce{' stages:' if addresses[1:] else ''} {names}"  # in DVC's words
        left = COLUMNS - len(f"error: {self.stages}: ")
        why = cause.within(left) if isinstance(cause, CommandFailed) else told(cause) if cause else ""
        super().__init__(f"{self.stages}: {why}" if cause else self.stages)
        self.addresses = list(addresses)
        self.__cause__ = cause
        if isinstance(cause, UserError | OSError) and not isinstance(cause, PASSING):
            self.exit_code = UserError.exit_code


PASSING = (TimeoutError, ConnectionError, InterruptedError)  # OSErrors that the user need not act on


def one_line(text: object) -> str:
    """The text without line breaks: an error is one line."""
    return " ".join(str(text).split())


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, in turn; an error of ours tells of its causes itself."""
    met: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in met:
        yield cause
        met.append(cause)
        cause = None if isinstance(cause, GliaflowError) else cause.__cause__


def joined(parts: Iterable[str]) -> str:
    """The parts of a chain of causes on one line, each once, though many errors repeat the text of their cause."""
    shown: list[str] = []
    for part in map(one_line, parts):
        if part and not any(part.rstrip(".") in before for before in shown):
            shown.append(part)
    return ": ".join([*(part.rstrip(".:") for part in shown[:-1]), *shown[-1:]])


def told(error: BaseException) -> str:
    """All that an error and its causes tell, on one line, and what to do about one of the system."""
    return joined(map(bare, causes(error))) + advice(error)


def bare(error: BaseException) -> str:
    """What an error tells without its causes; its class too where its text says little without, as of a KeyError."""
    text, kind = one_line(error), type(error)
    ours = kind.__module__ != "builtins" or isinstance(error, InterruptedError)
    tells = text and (ours or (" " in text and not isinstance(error, LookupError)))
    return text if tells else f"{kind.__name__}: {text}" if text else kind.__name__


def cut(text: str, columns: int) -> str:
    """The text in so many columns: its beginning and its end, if all of it is too long."""
    if len(text) <= columns:
        return text
    last = (columns - len(MARK)) // 2
    return f"{text[: columns - len(MARK) - last].rstrip()}{MARK}{text[len(text) - last :].lstrip()}"


ADVICE = {
    errno.ENOSPC: "free some space and run it again",
    errno.EDQUOT: "free some space and run it again",
    errno.EAGAIN: "this user has too many processes (`ulimit -u`): end some and run it again",
    errno.ENOMEM: "this machine is out of memory: end something and run it again",
    errno.EMFILE: "too many files are open (`ulimit -n`)",
    errno.ENFILE: "too many files are open on this machine",
}


def advice(error: BaseException) -> str:
    """What to do about an error of the system, if that is known, to be put after it."""
    known = ADVICE.get(error.errno or 0) if isinstance(error, OSError) else None
    return f"; {known}" if known else ""


ENDINGS = {
    signal.SIGKILL: "was killed by SIGKILL (out of memory?)",
    signal.SIGPIPE: "was ended by SIGPIPE: what it wrote to had gone",
    signal.SIGXCPU: "was ended by SIGXCPU: its time outgrew `ulimit -t`",
    signal.SIGXFSZ: "was ended by SIGXFSZ: a file outgrew `ulimit -f`",
}
CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS", "SIGTRAP")
SENT = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGALRM", "SIGUSR1", "SIGUSR2")
CODES = {
    75: "exited with 75 (try again later)",
    126: "exited with 126 (cannot execute)",
    127: "exited with 127 (not found)",
}


def how_it_ended(code: int) -> str:
    """The end of a command that failed, in words; of a code below 0, the signal that ended the command."""
    if code >= 0:
        after = signal_name(code - 128)  # a shell's word for a program that a signal ended
        deadly = after in (*CRASHES, *SENT) or code - 128 in ENDINGS
        return CODES.get(code, f"exited with {code}") + (f", as after {after}" if deadly else "")
    name = signal_name(-code)
    if name in CRASHES:
        return f"crashed ({name})"
    sent = ", which gliaflow did not send" if name in SENT else ""
    return next((words for one, words in ENDINGS.items() if one == -code), f"was ended by {name}{sent}")


def signal_name(number: int) -> str:
    """SIGTERM for 15; `signal 40` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
