"""An error of DVC, or of a library that DVC uses, as one line: what, which value, the whole chain of causes, advice.

`dvc` itself prints a good part of this below its message; `str(error)` has none of it.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard, cast

from dvc.config import Config, ConfigError
from dvc.exceptions import CyclicGraphError, DvcException, NotDvcRepoError
from dvc.fs import AuthError, RemoteMissingDepsError
from dvc.fs import ConfigError as RemoteConfigError
from dvc.parsing import ResolveError
from dvc.stage.exceptions import StageFileIsNotDvcFileError
from dvc.utils.serialize import EncodingError, ParseError
from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from gliaflow.errors import GliaflowError, bare, causes, joined, one_line
from gliaflow.words.places import CONFLICT, content, keys_of, line_at, line_of_key, marked
from gliaflow.words.surprises import place, surprise

UNPARSED = re.compile(r"failed to (?:parse|resolve) (?:stage )?'(.+?)' in '(.+?)'", re.DOTALL)
SETTING = re.compile(r"\['([^']+)'\]$")  # the last key of a path in a configuration
FOUND = "_words_of_gliaflow"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
BULLET = re.compile(r"\n\s+- ")
LIST = re.compile(r"(\n\s+- .*)+")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ARROW = re.compile(r"\s*\^\s*")  # below the place in a text


def words(error: Exception) -> str | None:
    """What the user is told of an error that they must act on; None of any other, as of a bug.

    Besides DVC's errors these are errors of its libraries about a remote, and those of Python where DVC stumbles over a
    value in the user's files. The error keeps its words: they are found while the working directory is the one from
    which DVC names files, and may be asked for later.
    """
    if isinstance(error, GliaflowError):
        return None
    if FOUND not in vars(error):
        known = isinstance(error, DvcException | AuthError | RemoteConfigError | RemoteMissingDepsError)
        vars(error)[FOUND] = in_words(error) if known else surprise(error)
    return cast(str | None, vars(error)[FOUND])


def in_words(error: BaseException) -> str:
    """All that DVC tells of an error, on one line."""
    chain = list(causes(error))
    detailed = [one.exc if isinstance(one, YAMLValidationError) else one.exc.__cause__ for one in chain if _pretty(one)]
    parts = [joined(_plain(one) for one in chain if not any(one is other for other in detailed))]
    parts += [text for one in chain for text in _details(one)]
    parts += [note for one in chain for note in getattr(one, "__notes__", [])]
    text = one_line("; ".join(part.strip().rstrip(".") for part in parts if part))
    return f"the stages are a cycle: {text}" if isinstance(error, CyclicGraphError) else text


def _pretty(error: BaseException) -> TypeGuard[YAMLSyntaxError | YAMLValidationError]:
    """Whether `_details` tells the cause of the error."""
    if isinstance(error, YAMLSyntaxError):
        return isinstance(error.exc.__cause__, MarkedYAMLError)
    return isinstance(error, YAMLValidationError)


def _plain(error: BaseException) -> str:
    """The text of an error, its lists with commas; without the arrow below a place that one line does not show."""
    if isinstance(error, MarkedYAMLError):
        return marked(error)
    if isinstance(error, ReaderError):  # its other line is the place, as a number of characters
        return str(error).splitlines()[0]
    if bare(error) != one_line(error):
        return bare(error)
    lines = [line for line in COLOUR.sub("", str(error)).splitlines() if not ARROW.fullmatch(line)]
    return LIST.sub(lambda found: f" {', '.join(BULLET.split(found[0])[1:])};", "\n".join(lines)).rstrip(";")


def _details(error: BaseException) -> Iterator[str]:
    """What DVC, or the file itself, tells beyond the text of an error: where it is wrong, and what to do."""
    match error:
        case YAMLSyntaxError():
            cause = error.exc.__cause__
            if isinstance(cause, MarkedYAMLError):
                yield f"{marked(cause)}{error.hint}"
            elif isinstance(cause, ReaderError):
                yield f"line {line_at(error.yaml_text, cause.position)}{error.hint}"
        case YAMLValidationError():
            yield from (_of_validation(error, one) for one in error.exc.errors)
        case EncodingError():
            cause = error.__cause__
            if isinstance(cause, UnicodeDecodeError):
                kind = "it is UTF-16: " if cause.object.startswith(UTF_16) else ""
                yield f"line {line_at(cause.object, cause.start)}; {kind}save it as UTF-8"
        case ParseError():
            text = content(str(error.path))
            if isinstance(error.__cause__, ReaderError):
                yield f"line {line_at(text, error.__cause__.position)}"
            if CONFLICT.search(text):
                yield "possible merge conflicts"
        case ResolveError():
            yield from _of_template(error)
        case NotDvcRepoError():
            yield "run `dvc init` there, or name another folder with --repo"
        case StageFileIsNotDvcFileError():
            yield from _of_no_file(error)
        case ConfigError():
            yield from _of_configuration(error)
        case RemoteMissingDepsError():
            yield f"run `pip install 'dvc[{error.protocol}]'`"


def _of_validation(error: YAMLValidationError, one: Any) -> str:
    """Which key is wrong, and how; `cmd` of a stage that has none is told at the stage."""
    line = line_of_key(error.text or content(error.path), one.path) if one.path else None
    where = f" in {' -> '.join(map(str, one.path))}" if one.path else ""
    return f"{one.error_message}{where}{f', line {line}' if line else ''}"


def _of_template(error: ResolveError) -> Iterator[str]:
    if match := UNPARSED.match(str(error)):
        name, path = match.groups()
        keys = keys_of(name) if "." in name or name.startswith("vars") else ["stages", name]
        if line := line_of_key(content(path), keys):
            yield f"see '{path}', line {line}"


def _of_no_file(error: StageFileIsNotDvcFileError) -> Iterator[str]:
    if match := re.match(r"'(.+)' is not a .dvc file", str(error)):
        path = Path(match[1])
        yield "it is a folder" if path.is_dir() else "it is a link to nothing" if path.is_symlink() else ""


def _of_configuration(error: ConfigError) -> Iterator[str]:
    """The file that holds the setting, of the four from which DVC reads; else the stage that asks for one."""
    files = [path for path in _configuration_files(error) if content(path)]
    key = SETTING.search(str(error))
    if key and files:
        holds = re.compile(rf"^\W*{re.escape(key[1])}\b|\"{re.escape(key[1])}\"", re.IGNORECASE)
        for path in reversed(files):
            for number, line in enumerate(content(path).splitlines(), 1):
                if holds.search(line):
                    yield f"see '{path}', line {number}"
                    return
    if files:
        yield f"see {' and '.join(map(repr, files))}"
    elif where := place(error):
        yield f"see {where}"


def _configuration_files(error: BaseException) -> list[str]:
    traceback, found = error.__traceback__, list[str]()
    while traceback:
        inside = traceback.tb_frame.f_locals
        if traceback.tb_frame.f_code.co_name == "load_file" and isinstance(path := inside.get("path"), str):
            return [path]
        if isinstance(one := inside.get("self"), Config):
            with suppress(Exception):  # it may not be complete yet
                found = list(one.files.values())
        traceback = traceback.tb_next
    return found
