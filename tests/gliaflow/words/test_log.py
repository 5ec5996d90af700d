"""DVC's warnings reach the user: each once, with its stage, and none of which gliaflow tells itself."""

import logging
from pathlib import Path

import pytest

from gliaflow import api
from gliaflow.core.report import Event, Message
from gliaflow.words.log import LOGGERS, MOST, dvc_silent
from tests.support.repos import Project

OUTPUT = logging.getLogger("dvc.output")


class Heard:
    """A listener that keeps messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def hear(self, event: Event) -> None:
        """Keep the text of a message."""
        if isinstance(event, Message):
            self.messages.append(event.text)


def messages(project: Project) -> list[str]:
    heard = Heard()
    api.reproduce(project.root, listener=heard, prefect=False).raise_if_failed()
    return heard.messages


def test_an_empty_output_is_told_once_with_its_stage(project: Project) -> None:
    project.pipeline({"a": {"cmd": "touch o p; mkdir q", "outs": ["o", "p", "q"]}})
    assert messages(project) == [f"stage 'a': '{name}' is empty." for name in "opq"]
    printed = project.copy(project.root.parent / "other").dvc("repro", "--force").stderr
    assert printed == "".join(f"WARNING: '{name}' is empty.\n" for name in "opq")


def test_a_name_that_a_group_hides_and_an_old_setting_are_told(project: Project) -> None:
    project.write({"params.yaml": "item: 5\n"})
    project.pipeline({"a": {"foreach": ["x", "y"], "do": {"cmd": "echo ${item}"}}})
    assert messages(project) == ["item is already specified, will be overwritten for stages generated from 'a'"]


def test_a_damaged_record_is_told_with_its_stage(project: Project) -> None:
    project.write({"seed": "1\n"})
    project.pipeline({"a": {"cmd": "cp seed o", "deps": ["seed"], "outs": ["o"]}})
    assert messages(project) == []
    for path in (project.root / ".dvc/cache/runs").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_text("a: [\n")
    (project.root / "dvc.lock").unlink()
    (told,) = messages(project)
    assert told.startswith("stage 'a': corrupted cache file '.dvc/cache/runs/")


def test_a_warning_has_its_cause_and_one_line_and_comes_once() -> None:
    told: list[str] = []
    with dvc_silent(told.append):
        for _ in range(2):
            OUTPUT.warning("one\ntwo")
            OUTPUT.info("no warning")
            logging.getLogger("dvc_data.hashfile").error("failed to transfer '%s'", "0a", exc_info=OSError(5, "broken"))
        logging.getLogger("scmrepo").warning("missing:\n%s", "\n".join("abcdef"))
        logging.getLogger("dvc.repo").warning("%s is frozen. Its dependencies are not going to be reproduced.", "a")
    assert told == [
        "one two",
        "failed to transfer '0a': [Errno 5] broken",
        "missing: a b c and 3 more",
    ]


def test_of_many_warnings_of_a_kind_some_are_told() -> None:
    told: list[str] = []
    with dvc_silent(told.append):
        for number in range(MOST + 5):
            OUTPUT.warning("%d is empty", number)
    assert told == [*(f"{number} is empty" for number in range(MOST)), "5 more warnings of this kind"]


@pytest.mark.parametrize("say", [None, lambda _: None])
def test_the_loggers_are_as_before(say: None, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert tmp_path.exists()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, list(logger.handlers), logger.propagate) for logger in loggers]
    with dvc_silent(say):
        OUTPUT.warning("not on the terminal")
    assert [(logger.level, list(logger.handlers), logger.propagate) for logger in loggers] == before
    assert capfd.readouterr() == ("", "")
