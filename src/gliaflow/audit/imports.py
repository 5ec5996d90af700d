"""Which files of a repository a Python program imports, read from its code: nothing of it runs.

What an import names in another way than by a word cannot be followed: `import_module(variable)`, `exec`, plugins.
"""

import ast
import importlib.machinery
import site
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gliaflow.audit.commands import Program

Folders = tuple[Path, ...]
PACKAGES = "-packages"  # in the name of a folder of installed ones, also where that lies in the repository
INIT, MAIN = "__init__.py", "__main__.py"
BUILDS = ("pyproject.toml", "setup.py", "setup.cfg")  # of a package that people install as it lies there
FALSE = frozenset({"TYPE_CHECKING", "typing.TYPE_CHECKING", "False", "0"})  # conditions under which nothing runs


@dataclass(frozen=True)
class Import:
    """What one statement imports."""

    level: int
    """How many dots stand in front; 0 of an absolute import."""
    module: tuple[str, ...]
    names: tuple[str, ...] = ()
    """What it takes of the module: a name in it, or a module below it; `*` for all of them."""


class Imports:
    """The imports of programs of a repository, each file read once."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._installed = _installed(top)
        self._others = [path for path in sys.path if PACKAGES in path or not Path(path).is_relative_to(top)]
        self._read: dict[tuple[Path, bool], tuple[Import, ...]] = {}
        self._found: dict[tuple[Path, Folders, bool], frozenset[Path]] = {}
        self._foreign: dict[str, bool] = {}

    def of(self, program: Program) -> set[Path]:
        """The files of the repository that a program runs and imports, and what these import, and so on.

        A file that cannot be read or is no Python imports nothing; it fails when the stage runs.
        """
        first, folders = self._start(program)
        waiting = [(path, place == len(first) - 1) for place, path in enumerate(first)]
        if program.kind == "code":
            here = program.folder / "<code>"
            waiting = [(path, False) for path in self._resolved(_imports(program.name, True), here, folders)]
        found: set[Path] = set()
        while waiting:
            path, main = waiting.pop()
            if path not in found and path.is_relative_to(self._top):
                found.add(path)
                waiting += [(one, False) for one in self._imported(path, folders, main)]
        return found

    def _start(self, program: Program) -> tuple[list[Path], Folders]:
        """The files that run first, the program itself as the last one, and where its imports are looked for."""
        around = (*program.paths, *self._installed)
        if program.kind != "file":
            folders = _once(program.folder, *around)
            if program.kind == "code":
                return [], folders
            return self._module(program.name.split("."), folders), folders
        path = _normal(program.folder / program.name)
        if path.is_dir():  # Python takes a folder for a program too
            return [one for one in [path / MAIN] if one.is_file()], _once(path, *around)
        return [one for one in [path] if one.is_file()], _once(path.parent, *around)

    def _imported(self, path: Path, folders: Folders, main: bool) -> frozenset[Path]:
        place = path, folders, main
        if place not in self._found:
            if (path, main) not in self._read:
                text = b""
                with suppress(OSError):
                    text = path.read_bytes()
                self._read[path, main] = tuple(_imports(text, main))
            self._found[place] = frozenset(self._resolved(self._read[path, main], path, folders))
        return self._found[place]

    def _resolved(self, imports: Iterable[Import], path: Path, folders: Folders) -> Iterator[Path]:
        """The files that the imports of a file run."""
        for one in imports:
            if one.level:
                base = path.parent
                for _ in range(one.level - 1):
                    base = base.parent
                files, inside = _below(one.module, (base,))
                if not one.module:
                    files = [init for init in [base / INIT] if init.is_file()]
            else:
                files, inside = self._absolute(one.module, folders)
            yield from files
            for name in self._taken(one.names, files):
                yield from _below((name,), inside)[0]

    @staticmethod
    def _taken(names: Sequence[str], files: Sequence[Path]) -> Iterator[str]:
        """The names that may be modules: of `*`, those that the package lists."""
        for name in names:
            if name != "*":
                yield name
            elif files and files[-1].name == INIT:
                yield from _listed(files[-1])

    def _module(self, parts: Sequence[str], folders: Folders) -> list[Path]:
        """The files that run with `python -m`, the packages around it first; none if the module is not here."""
        files, inside = self._absolute(parts, folders)
        if inside:
            return [*files, *[main for main in [folder / MAIN for folder in inside] if main.is_file()][:1]]
        return files if files and files[-1].stem == parts[-1] else []

    def _absolute(self, parts: Sequence[str], folders: Folders) -> tuple[list[Path], Folders]:
        """As `_below`; what Python itself brings, and an installed package before a folder that is none, is nothing."""
        if parts[0] in sys.builtin_module_names:
            return [], ()
        found, inside = _step(parts[0], folders)
        if not found and inside and self._is_foreign(parts[0]):
            return [], ()
        return _below(parts, folders)

    def _is_foreign(self, name: str) -> bool:
        if name not in self._foreign:
            spec = None
            with suppress(Exception):  # what finders of other packages raise
                spec = importlib.machinery.PathFinder.find_spec(name, self._others)
            self._foreign[name] = spec is not None and spec.loader is not None and spec.origin is not None
        return self._foreign[name]


def _below(parts: Sequence[str], folders: Folders) -> tuple[list[Path], Folders]:
    """The files that run for a dotted name below `folders`, and the folders in which what is below it lies."""
    files: list[Path] = []
    for name in parts:
        found, folders = _step(name, folders)
        files += found
    return files, folders


def _step(name: str, folders: Folders) -> tuple[list[Path], Folders]:
    """The file that runs for one name, and the folders below it, as Python looks for them."""
    portions: list[Path] = []
    for folder in folders:
        if (init := folder / name / INIT).is_file():
            return [init], (folder / name,)
        if (file := folder / f"{name}.py").is_file():
            return [file], ()
        if (folder / name).is_dir():
            portions.append(folder / name)
    return [], tuple(portions)


def has_code(path: Path) -> bool:
    """Whether a file holds more than comments and a docstring; one that cannot be parsed does."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return True
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def _imports(text: bytes | str, main: bool) -> Iterator[Import]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If):
            waiting += [node.test, *_running(node, main)]
            continue
        if isinstance(node, ast.Import):
            yield from (Import(0, tuple(alias.name.split("."))) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(node.level, tuple((node.module or "").split(".")) if node.module else (), names)
        elif isinstance(node, ast.Call) and (name := _called(node)):
            yield Import(0, tuple(name.split(".")))
        waiting += ast.iter_child_nodes(node)


def _running(node: ast.If, main: bool) -> list[ast.stmt]:
    """The branches of a condition that may run."""
    test = ast.unparse(node.test)
    if test in FALSE or (not main and test in ("__name__ == '__main__'", "'__main__' == __name__")):
        return node.orelse
    if test.removeprefix("not ") in FALSE and test.startswith("not "):
        return node.body
    return [*node.body, *node.orelse]


def _called(node: ast.Call) -> str:
    """The module that `import_module("name")` or `__import__("name")` imports."""
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if function not in ("import_module", "__import__") or not node.args:
        return ""
    name = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
    return name if isinstance(name, str) and not name.startswith(".") else ""


def _listed(init: Path) -> list[str]:
    """The names in `__all__` of a package, if it is written out."""
    with suppress(OSError, SyntaxError, ValueError):
        for node in ast.parse(init.read_bytes()).body:
            if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "__all__" for one in node.targets):
                return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _installed(top: Path) -> Folders:
    """The folders of the repository that an editable install puts on Python's path, here or for whoever installs it."""
    found = [folder for folder in map(Path, _links()) if folder.is_relative_to(top) and folder.is_dir()]
    if any((top / name).is_file() for name in BUILDS):
        found += [top / folder for folder in [*_where(top / BUILDS[0]), "src"] if (top / folder).is_dir()]
        found.append(top)
    return _once(*found)


def _links() -> Iterator[str]:
    """The folders that are named in files `*.pth` of this Python."""
    for folder in [*site.getsitepackages(), site.getusersitepackages()]:
        for file in sorted(Path(folder).glob("*.pth")):
            with suppress(OSError, UnicodeDecodeError):
                yield from (line for line in file.read_text().splitlines() if line.startswith("/"))


def _where(project: Path) -> list[str]:
    """The folders in which setuptools finds the packages, as pyproject.toml says."""
    with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        tool = tomllib.loads(project.read_text())["tool"]["setuptools"]
        named = tool.get("package-dir", {}).get("")
        return [str(one) for one in [*([named] if named else []), *tool["packages"]["find"].get("where", [])]]
    return []


def _normal(path: Path) -> Path:
    """The path without `..`, its links as they are."""
    return Path(*_collapsed(path.parts))


def _collapsed(parts: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if part == ".." and len(kept) > 1:
            kept.pop()
        elif part != "..":
            kept.append(part)
    return kept


def _once(*folders: Path) -> Folders:
    return tuple(dict.fromkeys(map(_normal, folders)))
