"""A page of real runs: what the run wrote down is what DVC knows, and it stays so when the workspace changes."""

import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from gliaflow.journal.folder import journals
from gliaflow.journal.reader import Tail
from tests.support.browser import browser
from tests.support.repos import Project
from tests.support.runs import PNG, md5

MEASURE = "import json, sys; json.dump({'dice': float(sys.argv[1])}, open('scores.json', 'w'))"


def pipeline(project: Project) -> None:
    project.write({"seed.txt": "1\n", "measure.py": MEASURE, "params.yaml": "rate: 0.5\ndeep: {a: [1]}\n"})
    (project.root / "raw.png").write_bytes(PNG)
    make = {"cmd": "mkdir out && cp seed.txt out/a.txt && cp raw.png out/b.png", "deps": ["seed.txt", "raw.png"]}
    fit = {"matrix": {"n": [1, 2]}, "cmd": "printf 'step,loss\\n0,1\\n1,0.5\\n' > ${item.n}.csv", "deps": ["out"]}
    drawn = [{"${item.n}.csv": {"x": "step", "y": "loss"}}]
    score = {"cmd": "python measure.py 0.5", "deps": ["1.csv", "2.csv", "measure.py"], "meta": {"cpus": 2}}
    stages = {
        "make": {**make, "plots": ["out"]},
        "fit": {**fit, "params": ["rate", "deep"], "plots": drawn},
        "score": {**score, "metrics": [{"scores.json": {"cache": False}}]},
    }
    project.pipeline(stages, plots=[{"both": {"x": "step", "y": {"1.csv": "loss", "2.csv": "loss"}}}])


def newest(project: Project) -> list[dict[str, Any]]:
    path = journals(project.root / ".dvc/tmp/gliaflow/runs")[-1]
    return [record for record, _ in Tail(path).new()]


def test_a_page_of_a_run_and_later_of_the_same_run(project: Project, tmp_path: Path) -> None:
    pipeline(project)
    project.flow("-j", "2")
    project.commit()
    commit = project.run("git", "rev-parse", "HEAD").stdout.strip()
    text = (project.root / "dvc.yaml").read_text()
    project.write(
        {"dvc.yaml": text.replace("measure.py 0.5", "measure.py 0.75"), "params.yaml": "rate: 0.25\ndeep: 1\n"}
    )
    project.flow("-j", "2")

    records = newest(project)
    ended = {one["stage"]: one for one in records if one["is"] == "ended"}
    lock = YAML(typ="safe", pure=True).load(project.root / "dvc.lock")["stages"]
    for name, told in ended.items():  # unchanged stages too
        recorded = told["recorded"]
        assert {one["path"]: one["hash"] for one in recorded["outputs"]} == {
            o["path"]: o["md5"] for o in lock[name]["outs"]
        }
        assert {one["path"]: one["size"] for one in recorded["outputs"]} == {
            o["path"]: o["size"] for o in lock[name]["outs"]
        }
        assert recorded["reads"] == {one["path"]: one["md5"] for one in lock[name].get("deps", ())}
        assert recorded["parameters"] == lock[name].get("params", {}).get("params.yaml", {})
    assert ended["make"]["outcome"] == "UNCHANGED"
    assert ended["score"]["slots"] == ["cpu-0", "cpu-1"]
    assert records[0]["commit"] == commit
    (versions,) = [one for one in records if one["is"] == "versions"]
    assert versions["code"] == {"changed": ["dvc.yaml", "params.yaml"], "more": 0}
    (metrics,) = [one for one in records if one["is"] == "metrics"]
    assert metrics["values"] == [{"file": "scores.json", "metric": "dice", "value": 0.75, "before": 0.5}]
    assert records[-1]["locks"] == {"dvc.lock": md5((project.root / "dvc.lock").read_bytes())}

    assert "is complete" in project.gliaflow("report", "-o", "../first.html").stdout
    first = (tmp_path / "first.html").read_text()
    assert re.search(r'data-plot="both"', first)
    assert first.count("data:image/png;base64") == 1
    project.commit()
    project.write({"seed.txt": "2\n", "scores.json": '{"dice": 0.1}', "params.yaml": "rate: 9\ndeep: 9\n"})
    project.gliaflow("report", "-o", "../second.html")
    assert (tmp_path / "second.html").read_text() == first


def test_what_is_gone_is_told_in_its_place(project: Project, tmp_path: Path) -> None:
    pipeline(project)
    project.flow()
    project.run("rm", "-rf", "out", "1.csv", "2.csv", ".dvc/cache/files")
    project.gliaflow("report", "-o", "../run.html")
    text = (tmp_path / "run.html").read_text()
    assert "data:image" not in text
    for name in ("out: what is in the folder is not in DVC's cache", "both: it is neither in DVC's cache any more"):
        assert name in text


def test_a_run_that_failed(project: Project, tmp_path: Path) -> None:
    project.pipeline(
        {"bad": {"cmd": "echo '<b>no</b>'; exit 3", "outs": ["x"]}, "after": {"cmd": "true", "deps": ["x"]}}
    )
    project.flow(expect=1)
    assert "which failed" in project.gliaflow("report", "-o", "../run.html").stdout
    with browser() as tab:
        tab.show((tmp_path / "run.html").as_uri(), 390)
        told = tab.evaluate("document.querySelector('[data-failure=bad]').innerText")
        assert "<b>no</b>" in told
        assert "exited with 3" in told
        assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_on_a_telephone_no_label_is_cut_off(project: Project, tmp_path: Path) -> None:
    """Also of a short stage with a long name, between two that take longer."""
    line = "sleep {}; echo 1 > {}"
    names = ["first", "a-stage-with-a-name-of-some-length-at-all", "last"]
    stages = {
        name: {"cmd": line.format(0.3 * (number != 1), name), "outs": [name], "deps": names[number - 1 : number]}
        for number, name in enumerate(names)
    }
    project.pipeline(stages)
    project.flow()
    project.gliaflow("report", "-o", "../run.html")
    edges = (
        "[...document.querySelectorAll('.label')].map(one => {{ const r = one.getBoundingClientRect(); return r.{} }})"
    )
    with browser() as tab:
        for width in (1280, 390):
            tab.show((tmp_path / "run.html").as_uri(), width)
            lefts, rights = tab.evaluate(edges.format("left")), tab.evaluate(edges.format("right"))
            assert len(lefts) == 3
            assert min(lefts) >= 0
            assert max(rights) <= width


def test_as_one_document_for_a_program(project: Project) -> None:
    project.pipeline({"a": {"cmd": "echo 1 > a.txt", "outs": ["a.txt"]}})
    assert "no run has been kept here yet" in project.gliaflow("report", expect=2).stderr
    project.flow()
    told = json.loads(project.gliaflow("report", "--json").stdout)
    assert told["state"] == "completed"
    assert (project.root / "run.html").stat().st_size == told["bytes"]
