"""The tree of errors: who has to act, and DVC's words for stages that failed."""

import pytest

from gliaflow.errors import BadInput, CommandFailed, GliaflowError, NotReproduced, TransientError, UserError, one_line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("x"), 2),
        (BadInput("x"), 2),
        (CommandFailed("make", 9), 1),
        (NotReproduced(["a"]), 1),
        (TransientError("x"), 75),
    ],
)
def test_the_exit_code_tells_who_has_to_act(error: GliaflowError, code: int) -> None:
    assert error.exit_code == code


def test_a_command_that_failed_is_named_with_its_code() -> None:
    error = CommandFailed("cp a b", 3)
    assert str(error) == "failed to run: cp a b, exited with 3"
    assert (error.command, error.code) == ("cp a b", 3)


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
