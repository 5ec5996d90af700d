"""The tree of errors: who has to act, and DVC's words for stages that failed."""

import errno
import signal

import pytest

from gliaflow.errors import (
    COLUMNS,
    FEWEST,
    BadInput,
    CannotRun,
    CommandFailed,
    GliaflowError,
    Interrupted,
    NotDeclared,
    NotReproduced,
    TransientError,
    UserError,
    cut,
    how_it_ended,
    one_line,
    told,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("x"), 2),
        (BadInput("x"), 2),
        (CommandFailed("make", 9), 1),
        (CannotRun("make", 127), 2),
        (NotReproduced(["a"]), 1),
        (NotDeclared({"s": ["a.py"]}), 1),
        (TransientError("x"), 75),
    ],
)
def test_the_exit_code_tells_who_has_to_act(error: GliaflowError, code: int) -> None:
    assert error.exit_code == code


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CommandFailed("cp a b", 3), "exited with 3: cp a b"),
        (CommandFailed("cp a b", 3, "cp: no a"), "exited with 3: cp: no a"),
        (CommandFailed("cp a b", -11, ending="burst"), "burst: cp a b"),
        (CannotRun("cp a b", 127, "there is no cp"), "there is no cp"),
        (CannotRun("cp a b", 126, cause="cp: no"), "exited with 126 (cannot execute): cp: no"),
    ],
)
def test_a_command_that_failed_tells_its_end_and_its_cause(error: CommandFailed, words: str) -> None:
    assert str(error) == words
    assert error.command == "cp a b"
    assert isinstance(error, UserError) == isinstance(error, CannotRun)


@pytest.mark.parametrize("stage", ["a", "lgg-train", "a-stage-of-23-letters-all"])
def test_the_line_of_a_failure_fits_a_screen_and_keeps_both_ends_of_the_cause(stage: str) -> None:
    cause = CommandFailed("python " + "x" * 130, 1, "ValueError: no such column " + "y" * 200 + " in data.csv")
    line = f"error: {NotReproduced([stage], cause)}"
    assert len(line) == COLUMNS
    assert f"'{stage}': exited with 1: ValueError" in line
    assert line.endswith("data.csv")
    assert "xxx" not in line


def test_a_long_name_leaves_the_cause_some_columns() -> None:
    line = str(NotReproduced(["s" * 200], CommandFailed("x", 1, "y" * 300)))
    assert len(line.partition("exited with 1: ")[2]) == FEWEST


def test_what_the_user_can_do_is_never_cut() -> None:
    advice = "there is no command 'x'; " + "install it " * 20
    assert str(NotReproduced(["a"], CannotRun("x", 127, advice))).endswith(advice.strip())


@pytest.mark.parametrize(
    ("text", "columns", "left"),
    [("abc", 3, "abc"), ("abcdefgh", 5, "ab…gh"), ("abcdefgh", 6, "abc…gh"), ("a b c d e f", 5, "a…f"), ("", 4, "")],
)
def test_what_is_too_long_keeps_its_ends(text: str, columns: int, left: str) -> None:
    assert cut(text, columns) == left


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exited with 1"),
        (2, "exited with 2"),
        (75, "exited with 75 (try again later)"),
        (126, "exited with 126 (cannot execute)"),
        (127, "exited with 127 (not found)"),
        (128, "exited with 128"),
        (128 + signal.SIGINT, "exited with 130, as after SIGINT"),
        (128 + signal.SIGKILL, "exited with 137, as after SIGKILL"),
        (128 + signal.SIGSEGV, "exited with 139, as after SIGSEGV"),
        (128 + signal.SIGPIPE, "exited with 141, as after SIGPIPE"),
        (128 + signal.SIGTERM, "exited with 143, as after SIGTERM"),
        (200, "exited with 200"),
        (255, "exited with 255"),
        (-signal.SIGSEGV, "crashed (SIGSEGV)"),
        (-signal.SIGBUS, "crashed (SIGBUS)"),
        (-signal.SIGILL, "crashed (SIGILL)"),
        (-signal.SIGFPE, "crashed (SIGFPE)"),
        (-signal.SIGABRT, "crashed (SIGABRT)"),
        (-signal.SIGKILL, "was killed by SIGKILL (out of memory?)"),
        (-signal.SIGPIPE, "was ended by SIGPIPE: what it wrote to had gone"),
        (-signal.SIGTERM, "was ended by SIGTERM, which gliaflow did not send"),
        (-signal.SIGINT, "was ended by SIGINT, which gliaflow did not send"),
        (-signal.SIGHUP, "was ended by SIGHUP, which gliaflow did not send"),
        (-signal.SIGXCPU, "was ended by SIGXCPU: its time outgrew `ulimit -t`"),
        (-signal.SIGXFSZ, "was ended by SIGXFSZ: a file outgrew `ulimit -f`"),
        (-40, "was ended by signal 40"),
    ],
)
def test_each_end_has_words_of_its_own(code: int, words: str) -> None:
    assert how_it_ended(code) == words


def test_each_code_is_told_in_one_line_that_fits_a_screen() -> None:
    codes = [*range(1, 256), *range(-64, 0)]
    told = {f"error: {NotReproduced(['lgg-train'], CommandFailed('x' * 200, code))}" for code in codes}
    assert max(map(len, told)) <= COLUMNS
    assert len(told) == len(codes)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No room", "x"),
            "[Errno 28] No room: 'x'; free some space and run it again",
        ),
        (OSError(errno.ENOENT, "No such file", "x"), "[Errno 2] No such file: 'x'"),
        (OSError(errno.EAGAIN, "no process"), "[Errno 11] no process; this user has too many processes (`ulimit -u`)"),
        (OSError(errno.ENOMEM, "no memory"), "[Errno 12] no memory; this machine is out of memory: end something"),
        (OSError(errno.EMFILE, "Too many", "x"), "[Errno 24] Too many: 'x'; too many files are open (`ulimit -n`)"),
        (OSError("of its own"), "of its own"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_an_error_of_the_system_tells_what_to_do(error: Exception, words: str) -> None:
    assert told(error).startswith(words)


def test_an_interrupt_names_its_signal() -> None:
    error = Interrupted(signal.SIGHUP)
    assert (str(error), error.number) == ("ended by SIGHUP", signal.SIGHUP)
    assert isinstance(error, KeyboardInterrupt)


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        (["a"], "failed to reproduce 'a'"),
        (["a", "b"], "failed to reproduce stages: 'a' and 'b'"),
        (["a", "b", "c"], "failed to reproduce stages: 'a', 'b' and 'c'"),
    ],
)
def test_stages_that_failed_are_named_in_dvcs_words(addresses: list[str], words: str) -> None:
    assert str(NotReproduced(addresses)) == words
    error = NotReproduced(addresses, ValueError("one\n  two"))
    assert (str(error), error.stages, error.addresses) == (f"{words}: one two", words, addresses)


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (None, 1),
        (ValueError("x"), 1),
        (CommandFailed("x", 2), 1),
        (UserError("x"), 2),
        (BadInput("x"), 2),
        (PermissionError("x"), 2),
        (TimeoutError("x"), 1),
        (ConnectionResetError("x"), 1),
        (InterruptedError("x"), 1),
    ],
)
def test_stages_that_failed_are_the_users_only_if_the_cause_is(cause: Exception | None, code: int) -> None:
    error = NotReproduced(["a"], cause)
    assert error.exit_code == code
    assert error.__cause__ is cause
    assert NotReproduced.exit_code == 1


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\tb  c\r\n") == "a b c"
