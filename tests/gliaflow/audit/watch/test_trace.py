"""What programs of any language open, as strace tells it: from lines as it writes them, and from real programs."""

import subprocess
from pathlib import Path

import pytest

from gliaflow.audit.watch import trace
from gliaflow.audit.watch.notes import Opened

needs_strace = pytest.mark.skipif(not trace.prefix(), reason="no strace that may follow processes")


def told(folder: Path, *lines: str, **others: list[str]) -> Opened:
    """What these calls of process 1, and those of `others` by `pN`, opened."""
    for pid, calls in {"p1": lines, **others}.items():
        (folder / f"trace.{pid[1:]}").write_text("".join(f"{line}\n" for line in calls))
    return trace.opened(folder, Path("/repo"))


@pytest.mark.parametrize(
    ("line", "read", "written"),
    [
        ('openat(AT_FDCWD</repo>, "a", O_RDONLY) = 3</repo/a>', {"a"}, set()),
        ('openat(AT_FDCWD</repo>, "a", O_RDONLY|O_CLOEXEC)     = 3</repo/a>', {"a"}, set()),
        ('openat(AT_FDCWD</repo>, "a", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</repo/a>', set(), {"a"}),
        ('open("a", O_RDWR) = 3</repo/a>', set(), {"a"}),
        ('creat("a", 0666) = 3</repo/a>', set(), {"a"}),
        ('openat2(AT_FDCWD</repo>, "O_CREAT", {flags=O_RDONLY, resolve=0}, 24) = 3</repo/O_CREAT>', {"O_CREAT"}, set()),
        ('openat(AT_FDCWD</repo>, "a", O_RDONLY) = -1 ENOENT (No such file or directory)', set(), set()),
        (
            'openat(AT_FDCWD</repo>, "a b\\"\\\\\\303\\244", O_RDONLY) = 3</repo/a b\\"\\\\\\303\\244>',
            {'a b"\\ä'},
            set(),
        ),
        ('execve("./run.sh", ["./run.sh", "x"], 0x7ffd /* 20 vars */) = 0', {"run.sh"}, set()),
        ('rename("a", "b") = 0', set(), {"b"}),
        ('renameat2(AT_FDCWD</repo>, "a", 5</repo/sub>, "b", RENAME_NOREPLACE) = 0', set(), {"sub/b"}),
        ('linkat(AT_FDCWD</repo>, "a", AT_FDCWD</repo>, "b", 0) = 0', {"a"}, {"b"}),
        ('symlinkat("a", AT_FDCWD</repo/sub>, "b") = 0', set(), {"sub/b"}),
        ('symlink("a", "/repo/b") = 0', set(), {"b"}),
        ('truncate("a", 0) = 0', set(), {"a"}),
        ('openat(AT_FDCWD</repo>, "x", O_RDONLY) = 3</repo/p/__pycache__/m.cpython-311.pyc>', {"p/m.py"}, set()),
        ("--- SIGCHLD {si_signo=SIGCHLD} ---", set(), set()),
        ("openat(AT_FDCWD</repo>, ", set(), set()),
    ],
)
def test_a_call(tmp_path: Path, line: str, read: set[str], written: set[str]) -> None:
    found = told(tmp_path, line)
    assert found.read == {Path("/repo", name) for name in read}
    assert found.written == {Path("/repo", name) for name in written}


def test_a_process_is_where_it_has_gone_and_its_children_begin_there(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        *['chdir("sub") = 0', "clone(child_stack=NULL, flags=SIGCHLD) = 2", 'chdir("..") = 0', 'truncate("a", 0) = 0'],
        *["fchdir(3</repo/else>) = 0", 'truncate("b", 0) = 0', "vfork() = 3"],
        p2=['truncate("c", 0) = 0', 'chdir("/out") = 0', 'truncate("d", 0) = 0'],
        p3=['truncate("e", 0) = 0'],
    )
    written = {"/repo/a", "/repo/else/b", "/repo/sub/c", "/out/d", "/repo/else/e"}
    assert {str(path.parent.resolve() / path.name) for path in found.written} == written
    assert found.processes == 3


@needs_strace
def test_programs_of_a_shell(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a", "b", "sub/c", "run.sh"):
        (tmp_path / name).write_text("echo 1 > made-by-script\n")
    line = "cat a b > n; (cd sub; cat c > m; mv m o); sh run.sh; cp b copy; rm copy; exit 3"
    (tmp_path / "notes").mkdir()
    start = [*trace.prefix(), "-o", str(tmp_path / "notes" / trace.NAME), "--", "sh", "-c", line]
    ended = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "", "")
    found = trace.opened(tmp_path / "notes", tmp_path)
    read = {str(path.relative_to(tmp_path)) for path in found.read if path.is_relative_to(tmp_path)}
    written = {str(path.relative_to(tmp_path)) for path in found.written if path.is_relative_to(tmp_path)}
    assert read == {"a", "b", "sub/c", "run.sh"}
    assert written == {"n", "sub/m", "sub/o", "made-by-script", "copy"}


@needs_strace
@pytest.mark.parametrize(("line", "code"), [("exit 7", 7), ("kill -TERM $$", -15), ("kill -KILL $$", -9)])
def test_a_program_ends_as_without_it(tmp_path: Path, line: str, code: int) -> None:
    start = [*trace.prefix(), "-o", str(tmp_path / trace.NAME), "--", "sh", "-c", line]
    assert subprocess.run(start, check=False, capture_output=True).returncode == code


def test_without_strace_there_is_no_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trace.prefix.__wrapped__() == ()
    (tmp_path / "strace").write_text("#!/bin/sh\necho 'PTRACE_TRACEME: Operation not permitted' >&2; exit 1\n")
    (tmp_path / "strace").chmod(0o755)
    assert trace.prefix.__wrapped__() == ()


def test_an_old_strace_is_asked_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "strace").write_text('#!/bin/sh\ncase "$1" in --*) echo "invalid option" >&2; exit 1;; esac\n')
    (tmp_path / "strace").chmod(0o755)
    assert trace.prefix.__wrapped__() == (str(tmp_path / "strace"), *trace.OPTIONS)
