"""Lines of .gitignore, which stand in DVC's order whatever the order in which stages end."""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvc.repo.scm_context import SCMContext
from dvc.scm import Git, SCMError
from scmrepo.exceptions import FileNotInRepoError
from scmrepo.git import GitWildMatchPattern  # type: ignore[attr-defined]

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
        self._planned: dict[Path, dict[bytes, str]] = {}  # lines to come, and their paths
        self._old: dict[Path, set[bytes]] = {}  # lines that were there before this run, or an unfinished one
        self._seen: dict[Path, Seen] = {}
        self._left: dict[Path, list[bytes]] = {}  # what this run has written last
        self._folders: dict[str, Path] = {}  # of outputs, and the .gitignore of each
        self._look_again()
        for path in places if isinstance(self.scm, Git) else ():
            with suppress(SCMError):
                file, line = self._where(path)
                if file not in self._planned:
                    self._changed(path)
                self._planned.setdefault(file, {})[line] = path
        for file, lines in self._planned.items():
            added = set(files.added(file))
            self._old[file] = set(_lines(file)) - {line for line, path in lines.items() if path in added}

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
        missing: dict[Path, list[str]] = {}
        for path in paths if isinstance(self.scm, Git) else ():
            if self._changed(path):
                self._look_again()
            if not self.scm.is_ignored(path):
                missing.setdefault(self._where(path)[0], []).append(path)
        for file, those in missing.items():
            self._write(file, those)

    def finish(self) -> None:
        """Put lines in order that DVC has appended beside this run, in the files to which it added any.

        Raises:
            OSError: a file cannot be read or written.
        """
        for file in sorted(self._left):
            if file.exists():
                self._write(file, [])

    def _write(self, file: Path, paths: list[str]) -> None:
        before = _lines(file)
        lines, planned, old = list(before), self._planned.get(file, {}), self._old.get(file, set())
        for path in paths:
            if (line := self._where(path)[1]) in lines:
                continue
            place = self._place(path)
            later = (i for i, one in enumerate(lines) if one in planned and self._place(planned[one]) > place)
            at = next((i for i in later if lines[i] not in old), len(lines))
            if at == len(lines) and lines and not lines[-1].endswith(b"\n"):
                lines[-1] += b"\n"
            lines.insert(at, line)
        if before != self._left.get(file, []):  # others have written: DVC appends, in whatever order stages end
            new = [place for place, line in enumerate(lines) if line in planned and line not in old]
            ordered = sorted((lines[place] for place in new), key=lambda line: self._place(planned[line]))
            for place, line in zip(new, ordered, strict=True):
                lines[place] = line
        if lines != before:
            added = [planned[line] for line in lines if line in planned and line not in old]
            self._files.write(file, b"".join(lines), added)
            self._seen[file] = signature(file)
            self._left[file] = lines
            self.track_file(os.path.relpath(file))

    def _place(self, path: str) -> int:
        return self._places.get(path, len(self._places))

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
        """Whether others have written what may tell git to ignore the path."""
        files = [folder / ".gitignore" for folder in Path(path).parents if folder.is_relative_to(self.scm.root_dir)]
        seen = {file: signature(file) for file in [*files, Path(self.scm.root_dir) / ".git/info/exclude"]}
        changed = any(self._seen.get(file) != one for file, one in seen.items())
        self._seen |= seen
        return changed

    def _look_again(self) -> None:
        """Have DVC read anew what git ignores: it does so once for all."""
        self.scm._reset()


def _lines(file: Path) -> list[bytes]:
    return LINE.findall(file.read_bytes()) if file.exists() else []
