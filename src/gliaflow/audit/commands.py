"""Which Python programs the commands of a stage start, as far as their text tells."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PYTHON = re.compile(r"(?:python|pypy)[\d.]*t?(?:\.exe)?")
ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
OPERATORS = frozenset("();<>|&\n")
STARTERS = (
    "accelerate command conda coverage deepspeed env exec hatch ionice kernprof mamba micromamba mpiexec mpirun nice "
    "nohup pdm pipenv pixi poetry rye setsid srun stdbuf sudo time timeout torchrun uv uvx xvfb-run"
)
AROUND = frozenset(STARTERS.split())  # programs that start another one, whose words follow
LAUNCHERS = frozenset({"torchrun", "accelerate", "deepspeed", "coverage", "kernprof"})  # that start Python themselves
MODULES = (
    "torch.distributed.run torch.distributed.launch accelerate.commands.launch coverage cProfile profile pdb trace "
    "kernprof memory_profiler mpi4py deepspeed.launcher.runner viztracer scalene"
)
LAUNCHING = frozenset(MODULES.split())  # ... and modules that do
UNHEARD = frozenset("IES")  # flags of Python with which it reads no PYTHONPATH, or starts no `site`
UNKNOWN = re.compile(r"[$`*?]")  # what a shell puts something else for
IN_SHELL = frozenset({":", "[", "exit", "false", "set", "test", "true", "ulimit", "umask", "unset"})  # open no file
KEYWORDS = frozenset({"!", "do", "done", "elif", "else", "fi", "if", "then", "until", "while", "{", "}"})


@dataclass(frozen=True)
class Program:
    """A Python program that a command starts."""

    kind: Literal["module", "file", "code"]
    name: str
    """The module, the path of the file from `folder`, or the code of `-c`."""
    folder: Path
    """Where it starts."""
    paths: tuple[Path, ...] = ()
    """The PYTHONPATH that the command itself sets."""


@dataclass(frozen=True)
class Started:
    """What the commands of a stage start."""

    programs: tuple[Program, ...]
    plain: bool
    """Whether all of it is Python that a hook can look at."""
    read: tuple[Path, ...] = ()
    """What the shell reads for them: `< FILE`."""
    written: tuple[Path, ...] = ()
    """What the shell writes for them: `> FILE`."""


def started(lines: Iterable[str], folder: Path) -> Started:
    """What these lines of a shell start in `folder`."""
    found = [_Line(line, folder) for line in lines]
    return Started(
        tuple(dict.fromkeys(program for one in found for program in one.programs)),
        all(one.plain for one in found),
        tuple(path for one in found for path in one.read),
        tuple(path for one in found for path in one.written),
    )


class _Line:
    """One line of `cmd:`, command by command; what cannot be known of it makes it not `plain`."""

    def __init__(self, text: str, folder: Path) -> None:
        self.programs: list[Program] = []
        self.plain, self.read, self.written = True, list[Path](), list[Path]()
        self._folder, self._paths = folder, tuple[Path, ...]()
        try:
            words = list(_words(text))
        except ValueError:  # a quotation that does not end
            self.plain = False
            return
        command: list[str] = []
        waiting = iter(words)
        for word in waiting:
            if not OPERATORS.issuperset(word):
                command.append(word)
            elif "<" in word or ">" in word:
                if command and command[-1].isdecimal():
                    command.pop()
                self._redirected(word, next(waiting, ""))
            else:
                self._command(command)
                command = []
        self._command(command)

    def _redirected(self, operator: str, target: str) -> None:
        if operator.endswith("&") or target == "/dev/null":  # another descriptor, or nothing
            return
        if operator.startswith("<<") or UNKNOWN.search(target):
            self.plain = self.plain and operator.startswith("<<")
            return
        (self.written if ">" in operator else self.read).append(self._folder / target)

    def _command(self, words: Sequence[str]) -> None:
        while words and words[0] in KEYWORDS:
            words = words[1:]
        given, words = _assignments(words)
        if not words:
            self._set(given)
            return
        if words[0] == "cd":
            self._enter(words[1:])
        elif words[0] == "export":
            self._set(_assignments(words[1:])[0])
        elif words[0] not in IN_SHELL:
            before = self._paths
            self._set(given)
            if not self._program(words):
                self.plain = False
            self._paths = before

    def _set(self, given: dict[str, str]) -> None:
        if "PYTHONPATH" in given:
            self.plain = False  # it takes the place of the one with the hook
            parts = [part for part in given["PYTHONPATH"].split(":") if part and not UNKNOWN.search(part)]
            self._paths = tuple(self._folder / part for part in parts)

    def _enter(self, words: Sequence[str]) -> None:
        if len(words) == 1 and not UNKNOWN.search(words[0]):
            self._folder /= words[0]
        else:
            self.plain = False

    def _program(self, words: Sequence[str]) -> bool:
        """Note the Python program that a command starts, if it starts one; whether a hook can look at it."""
        first = Path(words[0]).name
        if PYTHON.fullmatch(first):
            return self._python(words[1:])
        if first.endswith(".py"):
            self._add("file", words[0])
            return True
        if first not in AROUND:
            return False
        given, rest = _assignments(words[1:]) if first == "env" else ({}, words[1:])
        self._set(given)
        for place, word in enumerate(rest):
            if PYTHON.fullmatch(Path(word).name):
                return self._python(rest[place + 1 :])
            if Path(word).name in LAUNCHERS:
                return self._launched(rest[place + 1 :])
        if first in LAUNCHERS:
            return self._launched(rest)
        if file := next((word for word in rest if word.endswith(".py")), None):
            self._add("file", file)
        return file is not None

    def _python(self, words: Sequence[str]) -> bool:
        """Note what the arguments of Python start."""
        heard, waiting = True, list(words)
        while waiting:
            word = waiting.pop(0)
            if not word.startswith("-") or word == "-":
                if word != "-" and not UNKNOWN.search(word):
                    self._add("file", word)
                return heard and word != "-"
            if word.startswith("--"):
                if word == "--check-hash-based-pycs" and waiting:
                    waiting.pop(0)
                continue
            for place, flag in enumerate(word[1:], 2):
                heard = heard and flag not in UNHEARD
                if flag in "mcWX":
                    value = word[place:] or (waiting.pop(0) if waiting else "")
                    if flag in "mc":
                        return self._named(flag, value, waiting) and heard
                    break
        return heard

    def _named(self, flag: str, value: str, rest: Sequence[str]) -> bool:
        if flag == "c":
            self._add("code", value)
        elif value in LAUNCHING:
            return self._launched(rest)
        elif not UNKNOWN.search(value):
            self._add("module", value)
        return True

    def _launched(self, words: Sequence[str]) -> bool:
        """Note what a launcher starts: `torchrun --nproc-per-node 2 -m train --epochs 3`."""
        for place, word in enumerate(words):
            if word in ("-m", "--module"):
                names = [one for one in words[place + 1 :] if not one.startswith("-")]
                self._add("module", names[0]) if names else None
                return True
            if word.endswith(".py"):
                self._add("file", word)
                return True
        return True

    def _add(self, kind: Literal["module", "file", "code"], name: str) -> None:
        self.programs.append(Program(kind, name, self._folder, self._paths))


def _words(text: str) -> Iterator[str]:
    """The words and operators of a shell's text, without comments."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="".join(sorted(OPERATORS)))
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    comment = False
    for word in lexer:
        if OPERATORS.issuperset(word) and "\n" in word:
            comment = False
        comment = comment or word.startswith("#")
        if not comment:
            yield word


def _assignments(words: Sequence[str]) -> tuple[dict[str, str], Sequence[str]]:
    """The variables that stand in front of a command, and the rest of it."""
    given: dict[str, str] = {}
    for place, word in enumerate(words):
        if not (match := ASSIGNED.fullmatch(word)):
            return given, words[place:]
        given[match[1]] = match[2]
    return given, ()
