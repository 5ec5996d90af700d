"""What Python notes of the files that it opens: however they are opened, and however the process ends."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gliaflow.audit.declared import Declared
from gliaflow.audit.watch.hook import sitecustomize
from gliaflow.audit.watch.notes import HOOK, Notes, Opened


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder with some files, in which programs start."""
    made = tmp_path.resolve() / "top"
    for name in ("a", "b", "c", "sub/d"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    return made


def ran(
    top: Path, code: str, *flags: str, code_is: int = 0, said: str = "", more: dict[str, str] | None = None
) -> Opened:
    """What a program in `top` opened, which says nothing but `said`."""
    one = Notes(top.parent / "notes", [str(top)], Declared("s", top, frozenset(), frozenset()))
    environment = {"PATH": os.environ["PATH"], **(more or {})}
    line = [sys.executable, *flags, "-c", code]
    ended = subprocess.run(line, cwd=top, env=one.environment(environment), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code_is, said, "")
    return one.taken()


def read(top: Path, code: str, *flags: str, code_is: int = 0) -> set[str]:
    """What such a program read, seen from `top`."""
    return {str(path.relative_to(top)) for path in ran(top, code, *flags, code_is=code_is).read}


def written(top: Path, code: str) -> set[str]:
    """What such a program wrote, seen from `top`."""
    return {str(path.relative_to(top)) for path in ran(top, code).written}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open('a')", {"a"}),
        ("open(b'a')", {"a"}),
        ("import os; open(os.path.abspath('a'))", {"a"}),
        ("import pathlib; pathlib.Path('a').read_text()", {"a"}),
        ("import os; os.open('a', os.O_RDONLY)", {"a"}),
        ("open('sub/../a'); open('./b'); open('sub//d')", {"a", "b", "sub/d"}),
        ("import os; os.chdir('sub'); open('d'); open('../a')", {"sub/d", "a"}),
        ("import os; os.chdir('sub'); os.chdir('..'); open('a')", {"a"}),
        ("import os; os.chdir('..'); open('top/a')", {"a"}),
        ("import shutil; shutil.copyfile('a', '/dev/null')", {"a"}),
        ("import os; os.link('a', 'e')", {"a"}),
        ("import sqlite3; sqlite3.connect('e')", {"e"}),
        ("import zipfile, contextlib\nwith contextlib.suppress(Exception): zipfile.ZipFile('a')", {"a"}),
        ("open(0)", set()),
        ("open('/etc/hosts')", set()),
        ("import os; os.listdir('.'); os.stat('a')", set()),
        ("import threading; t = threading.Thread(target=lambda: open('a')); t.start(); t.join()", {"a"}),
        ("for _ in range(3): open('a'); open('a', 'rb')", {"a"}),
    ],
)
def test_what_is_read(top: Path, code: str, found: set[str]) -> None:
    assert read(top, code, "-W", "ignore") == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open('n', 'w').close()", {"n"}),
        ("open('a', 'a').close()", {"a"}),
        ("open('a', 'r+').close()", {"a"}),
        ("open('n', 'x').close()", {"n"}),
        ("import os; os.close(os.open('n', os.O_WRONLY | os.O_CREAT))", {"n"}),
        ("import os; os.rename('a', 'n')", {"n"}),
        ("import os; os.replace('a', 'n')", {"n"}),
        ("import os; os.symlink('a', 'n'); os.link('a', 'm')", {"n", "m"}),
        ("import os; os.truncate('a', 0)", {"a"}),
        ("import shutil; shutil.move('a', 'n'); shutil.copy('b', 'm')", {"n", "m"}),
        ("open('n', 'w').close(); open('n').close()", {"n"}),
    ],
)
def test_what_is_written(top: Path, code: str, found: set[str]) -> None:
    assert written(top, code) == found


def test_what_a_process_wrote_itself_is_no_input(top: Path) -> None:
    assert read(top, "open('n', 'w').close(); open('n').close()") == set()


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("import os; open('a'); os._exit(3)", 3),
        ("import os, signal; f = open('a'); os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os, signal; f = open('a'); os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import os; f = open('a'); os.execv('/bin/true', ['true'])", 0),
    ],
)
def test_however_it_ends(top: Path, code: str, ended: int) -> None:
    assert read(top, code, "-W", "ignore", code_is=ended) == {"a"}


CHILDREN = {
    "subprocess": "import subprocess, sys; subprocess.run([sys.executable, '-W', 'ignore', '-c', \"open('a')\"])",
    "fork": "import os\nif os.fork():\n    os.wait()\nelse:\n    f = open('a'); os._exit(0)",
    "multiprocessing, fork": "import multiprocessing as m\nm.get_context('fork').Pool(1).map(open_a, [1])",
    "shell": "import os, sys; os.system(f'''{sys.executable} -W ignore -c \"open('a')\"''')",
}


@pytest.mark.parametrize("way", CHILDREN)
def test_children_are_looked_at(top: Path, way: str) -> None:
    code = f"def open_a(_):\n    open('a').close()\n{CHILDREN[way]}"
    found = ran(top, code, "-W", "ignore")
    assert found.read == {top / "a"}


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_of_multiprocessing_are_looked_at(top: Path, method: str) -> None:
    (top / "m.py").write_text(
        "import multiprocessing\ndef work(name):\n    open(name).close()\nif __name__ == '__main__':\n"
        f"    p = multiprocessing.get_context('{method}').Process(target=work, args=('a',))\n    p.start(); p.join()\n"
    )
    found = ran(top, "import subprocess, sys; subprocess.run([sys.executable, 'm.py'], check=True)")
    assert top / "a" in found.read
    assert found.processes >= (2 if method == "fork" else 3)


def test_a_module_counts_whether_it_was_compiled_before_or_not(top: Path) -> None:
    (top / "pkg").mkdir()
    for name in ("__init__", "m"):
        (top / f"pkg/{name}.py").write_text("x = 1\n")
    found = ran(top, "import pkg.m")
    assert list((top / "pkg/__pycache__").iterdir())
    assert (
        found == ran(top, "import pkg.m") == Opened(frozenset({top / "pkg/__init__.py", top / "pkg/m.py"}), processes=1)
    )


STATE = (
    "import sys; known = sorted(set(sys.modules) - {'sitecustomize'}), sorted(sys.path_importer_cache)\n"
    "print(known, sys.path, sys.flags)"
)


def test_a_program_sees_nothing_of_it(top: Path) -> None:
    before = subprocess.run([sys.executable, "-c", STATE], cwd=top, env={}, capture_output=True, text=True, check=True)
    ran(top, STATE, said=before.stdout)


@pytest.mark.parametrize("more", [{}, {"PYTHONPATH": "extra"}])
def test_a_sitecustomize_of_the_user_still_runs(top: Path, more: dict[str, str]) -> None:
    (top / "extra").mkdir()
    (top / "extra/sitecustomize.py").write_text("import sys\nsys.own = 'ran'\nopen('a').close()\n")
    code = "import sys; print(getattr(sys, 'own', 'none'), getattr(sys.modules.get('sitecustomize'), '__file__', ''))"
    expected = f"ran {top}/extra/sitecustomize.py\n"
    if more:
        found = ran(top, code, said=expected, more=more)
        assert found.read == {top / "a", top / "extra/sitecustomize.py"}
    else:
        assert top / "a" not in ran(top, "import sys; assert not hasattr(sys, 'own')").read


def test_a_sitecustomize_that_fails_is_told_as_without(top: Path) -> None:
    (top / "extra").mkdir()
    (top / "extra/sitecustomize.py").write_text("raise ValueError('mine')\n")
    line, env = [sys.executable, "-c", "print(1)"], {"PYTHONPATH": "extra"}
    one = Notes(top.parent / "notes", [str(top)], Declared("s", top, frozenset(), frozenset()))
    both = [
        subprocess.run(line, cwd=top, env=each, capture_output=True, text=True, check=False)
        for each in (env, one.environment(env))
    ]
    assert "ValueError: mine" in both[0].stderr
    assert [ended.returncode for ended in both] == [0, 0]
    assert both[0].stderr == both[1].stderr


@pytest.mark.parametrize("folder", ["/no/such/folder", ""])
def test_without_a_folder_nothing_happens(top: Path, folder: str) -> None:
    env = {"PYTHONPATH": str(HOOK), "GLIAFLOW_AUDIT": folder}
    line = [sys.executable, "-c", "print(open('a').read())"]
    ended = subprocess.run(line, cwd=top, env=env, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("a\n", "")


def test_a_folder_that_goes_meanwhile_harms_nothing(top: Path) -> None:
    code = "import os, shutil; shutil.rmtree(os.environ['GLIAFLOW_AUDIT']); print(open('a').read())"
    one = Notes(top.parent / "notes", [str(top)], Declared("s", top, frozenset(), frozenset()))
    line = [sys.executable, "-c", code]
    env = one.environment({})
    ended = subprocess.run(line, cwd=top, env=env, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("a\n", "")


def test_no_file_stays_open(top: Path) -> None:
    code = "import os\ndef known():\n    return os.listdir('/proc/self/fd')\n"
    ran(top, f"{code}before = known(); open('a').close(); print(before == known())", said="True\n")


def test_a_process_notes_no_more_than_so_many(top: Path) -> None:
    for number in range(30):
        (top / f"n{number}").write_text("")
    code = "import sys; [open(f'n{number}').close() for number in range(30)]"
    assert len(read(top, code)) == 30
    one = Notes(top.parent / "notes", [str(top)], Declared("s", top, frozenset(), frozenset()))
    (top.parent / "few").mkdir()
    text = Path(sitecustomize.__file__).read_text().replace(f"MOST = {sitecustomize.MOST}", "MOST = 20")
    (top.parent / "few/sitecustomize.py").write_text(text)
    env = {**one.environment({}), "PYTHONPATH": str(top.parent / "few")}
    subprocess.run([sys.executable, "-c", code], cwd=top, env=env, check=True)
    assert len(one.taken().read) == 20


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_a_python_that_takes_no_notice_is_not_counted(top: Path, flag: str) -> None:
    assert ran(top, "open('a').close()", flag).processes == 0


def test_any_python_from_3_8_on_can_read_it() -> None:
    tree = ast.parse(Path(sitecustomize.__file__).read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"os", "sys"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
