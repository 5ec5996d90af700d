"""Which Python programs a line of a shell starts, and whether a hook can look at all of it."""

from pathlib import Path

import pytest

from gliaflow.audit.commands import Program, started

HERE = Path("/repo")


def programs(*lines: str) -> list[str]:
    """The programs as one writes them: `-m name`, `name`, `-c name`."""
    flags = {"module": "-m ", "file": "", "code": "-c "}
    return [f"{flags[one.kind]}{one.name}" for one in started(lines, HERE).programs]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("python -m pkg.train --epochs 3", ["-m pkg.train"]),
        ("python3 train.py", ["train.py"]),
        ("/usr/bin/python3.11 -u train.py", ["train.py"]),
        ("pypy3 train.py", ["train.py"]),
        ("python -W error -m pkg", ["-m pkg"]),
        ("python -Werror -X utf8 -m pkg", ["-m pkg"]),
        ("python -um pkg", ["-m pkg"]),
        ("python -mpkg", ["-m pkg"]),
        ("python --check-hash-based-pycs never a.py", ["a.py"]),
        ("python -c 'import a; print(1)'", ["-c import a; print(1)"]),
        ("A=1 B='2 3' python a.py", ["a.py"]),
        ("env A=1 python a.py", ["a.py"]),
        ("poetry run python a.py", ["a.py"]),
        ("uv run --frozen a.py", ["a.py"]),
        ("conda run -n other python -m pkg", ["-m pkg"]),
        ("timeout 30 nice -n 5 python a.py", ["a.py"]),
        ("torchrun --nproc-per-node 2 -m pkg.train x.py", ["-m pkg.train"]),
        ("torchrun --nproc-per-node=2 train.py", ["train.py"]),
        ("python -m torch.distributed.run --nproc-per-node=2 -m pkg", ["-m pkg"]),
        ("python -m cProfile -o a.prof b.py", ["b.py"]),
        ("python a.py && python b.py; python c.py || python d.py", ["a.py", "b.py", "c.py", "d.py"]),
        ("python a.py | python b.py > out.txt 2>&1", ["a.py", "b.py"]),
        ("python a.py\npython b.py \\\n  --flag", ["a.py", "b.py"]),
        ("python a.py # python b.py\npython c.py", ["a.py", "c.py"]),
        ("if [ -f x ]; then python a.py; fi", ["a.py"]),
        ("./tools/a.py x", ["./tools/a.py"]),
        ("echo python a.py", []),
        ("echo 'python a.py'", []),
        ("cat python", []),
        ("python $SCRIPT", []),
        ("python -m $MODULE", []),
        ("python 'a.py", []),
        ("python", []),
    ],
)
def test_programs_of_a_line(line: str, found: list[str]) -> None:
    assert programs(line) == found


def test_all_lines_count_and_each_program_once() -> None:
    assert programs("python a.py", "python b.py", "python a.py") == ["a.py", "b.py"]


def test_a_program_starts_where_the_line_has_gone() -> None:
    (one,) = started(["cd sub/deeper && python a.py"], HERE).programs
    assert one == Program("file", "a.py", HERE / "sub/deeper")


@pytest.mark.parametrize("line", ["PYTHONPATH=src:lib python a.py", "export PYTHONPATH=src:lib; python a.py"])
def test_the_path_of_modules_that_a_line_sets_is_known(line: str) -> None:
    (one,) = started([line], HERE).programs
    assert one.paths == (HERE / "src", HERE / "lib")


def test_a_path_that_stands_before_one_command_is_of_that_command() -> None:
    _, two = started(["PYTHONPATH=src python a.py; python b.py"], HERE).programs
    assert two.paths == ()


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("python a.py", True),
        ("cd sub && python a.py", True),
        ("A=1 python -m pkg > out.txt", True),
        ("python a.py < in.txt 2> /dev/null", True),
        ("set -e; python a.py", True),
        ("poetry run python a.py", True),
        ("cp a b", False),
        ("python a.py && cp a b", False),
        ("python a.py | sort > b", False),
        ("python -I a.py", False),
        ("python -E a.py", False),
        ("python -S a.py", False),
        ("PYTHONPATH=src python a.py", False),
        ("env PYTHONPATH=src python a.py", False),
        ("python a.py > $OUT", False),
        ("cd $HERE; python a.py", False),
        ("python - < a.py", False),
        ("poetry run pytest", False),
        ("python 'a.py", False),
    ],
)
def test_what_a_hook_cannot_look_at_is_known(line: str, plain: bool) -> None:
    assert started([line], HERE).plain is plain


def test_files_that_the_shell_itself_opens_are_known() -> None:
    found = started(["cd sub; python a.py < in.txt > out.txt 2>> /log.txt"], HERE)
    assert (found.read, found.written) == ((HERE / "sub/in.txt",), (HERE / "sub/out.txt", Path("/log.txt")))
