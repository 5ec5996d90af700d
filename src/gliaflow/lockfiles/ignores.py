"""Lines of .gitignore, which stand in DVC's order whatever the order in which stages end."""

import os
import re
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvc.repo.scm_context import SCMContext
from dvc.scm import Git, SCMError
from scmrepo.exceptions import FileNotInRepoError
from scmrepo.git import GitWildMatchPattern  # type: ignore[attr-defined]

from gliaflow.lockfiles.order import Order
from gliaflow.lockfiles.whole import Files, Seen, signature

LINE = re.compile(rb"[^\n]*\n|[^\n]+")


class Ignores(SCMContext):  # type: ignore[misc]
    """Keeps the paths that DVC has git ignore, until they are written.

    `places` are those of the stages that make them, in DVC's order.
    """

    def __init__(self, context: Any, places: Mapping[str, int], files: Files) -> None:
        super().__init__(context.scm)
        self.autostage = context.autostage
        self.paths: list[str] = []
        self._places, self._files = places, files
        self._lines: dict[Path, _Lines] = {}
        self._seen: dict[Path, Seen] = {}
        self._above: dict[str, list[Path]] = {}  # of a folder, the files that tell what of it git ignores
        self._folders: dict[str, Path] = {}  # of outputs, and the .gitignore of each
        self._look_again()
        planned: dict[Path, dict[bytes, str]] = {}
        for path in places if isinstance(self.scm, Git) else ():
            with suppress(SCMError):
                file, line = self._where(path)
                if file not in planned:
                    self._changed(path)
                planned.setdefault(file, {})[line] = path
        for file, paths in planned.items():
            self._lines[file] = _Lines(file, paths, places, set(files.added(file)))

    def ignore(self, path: str) -> None:
        """Keep the path.

        Raises:
            SCMError: it lies outside of git's repository.
        """
        if isinstance(self.scm, Git):
            self._where(path)
        self.paths.append(path)

    def write(self, paths: Iterable[str]) -> None:
        """Have git ignore the paths, if it does not yet.

        Raises:
            OSError: a file cannot be read or written.
        """
        missing: dict[Path, list[bytes]] = {}
        for path in paths if isinstance(self.scm, Git) else ():
            file, line = self._where(path)
            if self._changed(path):
                self._look_again()
            known = self._lines.get(file)
            if not (known and known.ignores(line)) and not self.scm.is_ignored(path):
                missing.setdefault(file, []).append(line)
        errors: list[OSError] = []
        for file, lines in missing.items():
            try:
                self._write(file, lines)
            except OSError as error:  # of a folder that is not there, say; the other files are written all the same
                errors.append(error)
        if errors:
            raise errors[0]

    def planned(self) -> dict[Path, Iterable[str]]:
        """The paths of planned outputs, by .gitignore."""
        return {file: lines.planned for file, lines in self._lines.items()}

    def finish(self) -> None:
        """Put lines in order that DVC has appended beside this run, in the files to which it added any.

        Raises:
            OSError: a file cannot be read or written.
        """
        for file, lines in sorted(self._lines.items()):
            if lines.written and file.exists():
                self._write(file, [])

    def _write(self, file: Path, new: list[bytes]) -> None:
        if file not in self._lines:
            self._lines[file] = _Lines(file, {}, self._places, set())
        if self._lines[file].write(new, self._files):
            self._seen[file] = signature(file)
            if self._lines[file].negates:
                self._look_again()
            self.track_file(os.path.relpath(file))

    def _where(self, path: str) -> tuple[Path, bytes]:
        """The .gitignore for a path, and the line in it, as DVC writes it.

        Raises:
            SCMError: the path lies outside of git's repository.
        """
        folder, name = os.path.split(path)
        if folder not in self._folders:
            try:
                self._folders[folder] = Path(self.scm._get_gitignore(path)[1])
            except FileNotInRepoError as error:
                raise SCMError(str(error)) from None
        return self._folders[folder], f"{GitWildMatchPattern.escape(f'/{name}')}\n".encode()

    def _changed(self, path: str) -> bool:
        """Whether others have written what may tell git to ignore the path; lines of such a file are read again."""
        folder = os.path.dirname(path)  # noqa: PTH120 quicker
        if folder not in self._above:
            top = Path(self.scm.root_dir)
            folders = [one for one in (Path(folder), *Path(folder).parents) if one.is_relative_to(top)]
            self._above[folder] = [*(one / ".gitignore" for one in folders), top / ".git/info/exclude"]
        changed = False
        for file in self._above[folder]:
            if (seen := signature(file)) != self._seen.get(file):
                self._seen[file], changed = seen, True
                if file in self._lines:
                    self._lines[file].read()
        return changed

    def _look_again(self) -> None:
        """Have DVC read anew what git ignores: it does so once for all."""
        self.scm._reset()


class _Lines:
    """The lines of one .gitignore.

    Args:
        file: Where it is, or will be.
        paths: Of each line that a planned output needs, the path of that output.
        places: Of each output the place of its stage in DVC's order.
        added: Outputs whose lines an unfinished run has added.
    """

    def __init__(self, file: Path, paths: Mapping[bytes, str], places: Mapping[str, int], added: Set[str]) -> None:
        self.written: bytes | None = None
        """What this run has written last."""
        self.negates = False
        """Whether some line takes back what one before it tells git to ignore."""
        self._file, self._paths = file, paths
        self._known: bytes | None = None  # the text of these lines, if it is sure
        self._untold: set[bytes] = set()  # those that have come since this run began, to be noted
        old = set(LINE.findall(self._on_disk())) - {line for line, path in paths.items() if path in added}
        self._order = Order({line: places[path] for line, path in paths.items()}, old)
        self.read()

    @property
    def planned(self) -> Iterable[str]:
        """The paths of planned outputs."""
        return self._paths.values()

    def ignores(self, line: bytes) -> bool:
        """Whether git surely ignores the path of this line: it stands in the file, and nothing there may undo it."""
        return self._known is not None and line in self._order and not self.negates

    def read(self) -> bytes:
        """The file as it is now."""
        text = self._on_disk()
        if text != self._known:
            lines = LINE.findall(text)
            self._order.read(lines)
            self._untold.update(self._order.since())
            self.negates = any(line.startswith(b"!") for line in lines)
            self._known = text
        return text

    def write(self, lines: Iterable[bytes], files: Files) -> bool:
        """Put these lines in their places, where they are not yet; whether the file has changed.

        Raises:
            OSError: it cannot be read or written.
        """
        before, order = self.read(), self._order
        if before != (self.written or b""):  # others have written: DVC appends, in whatever order stages end
            order.arrange()
        for line in lines:
            if line not in order or self.negates:  # then DVC appends it once more
                self._insert(line)
        text = b"".join(order.names)
        if text != before:
            self._known = None
            files.write(self._file, text, [self._paths[line] for line in sorted(self._untold)])
            self.written = self._known = text
            self._untold.clear()
        return text != before

    def _insert(self, line: bytes) -> None:
        names, at = self._order.names, self._order.insert(line)
        if at and at == len(names) - 1 and not names[at - 1].endswith(b"\n"):
            names[at - 1] += b"\n"
        if self._order.is_new(line):
            self._untold.add(line)

    def _on_disk(self) -> bytes:
        return self._file.read_bytes() if self._file.exists() else b""
