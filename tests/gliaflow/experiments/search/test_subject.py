"""What a search finds of a stage, and what an individual is known by."""

from pathlib import Path

import pytest

from gliaflow.errors import BadInput, UserError
from gliaflow.experiments.search.subject import Subject, check_names, subject, upstreams
from tests.support.repos import Project

META = {"search": "door", "cpus": 2}


@pytest.fixture
def ready(project: Project) -> Project:
    project.write({"params.yaml": "train: {rate: 0.1, width: 8}\nother: 1\n", "code.py": "1\n", "seed.txt": "1\n"})
    first = {"cmd": "cp seed.txt data.txt", "deps": ["seed.txt"], "outs": ["data.txt"]}
    train = {"cmd": "true", "deps": ["data.txt", "code.py"], "params": ["train"], "outs": ["model"], "meta": META}
    project.pipeline({"first": first, "train": train, "plain": {"cmd": "true"}})
    project.run("sh", "-c", "cp seed.txt data.txt")
    return project


def test_what_it_is(ready: Project) -> None:
    assert upstreams(ready.root, "train") == ["first"]
    found = subject(ready.root, "train")
    assert (found.door.module, found.door.settings.cpus) == ("door", 2)
    assert Path(found.door.cwd) == ready.root
    assert found.door.env["DVC_STAGE"] == "train"
    assert found.names == ("train",)
    assert found.params({"train.rate": 0.5})["train"] == {"rate": 0.5, "width": 8}
    assert found.given["cmd"] == "true"
    assert found.given["reads"].keys() == {"data.txt", "code.py"}


def test_an_individual_is_known_by_its_parameters_data_and_code(ready: Project) -> None:
    found = subject(ready.root, "train")
    keys = {found.key({"train.rate": 0.5}), found.key({"train.rate": 0.5, "train.width": 8})}
    assert len(keys) == 1
    assert found.key({"train.rate": 0.25}) not in keys
    ready.write({"params.yaml": "train: {rate: 0.1, width: 8}\nother: 2\n"})  # on which the stage does not depend
    assert subject(ready.root, "train").key({"train.rate": 0.5}) in keys
    for name in ("code.py", "data.txt"):
        ready.write({name: "2\n"})
        assert subject(ready.root, "train").key({"train.rate": 0.5}) not in keys
        ready.write({name: "1\n"})


def test_parameters_on_which_it_does_not_depend(ready: Project) -> None:
    found = subject(ready.root, "train")
    check_names(found, ["train.rate", "train"], "train")
    with pytest.raises(BadInput, match=r"stage 'train' does not depend on 'other'; its params in dvc\.yaml are train"):
        check_names(found, ["other"], "train")
    with pytest.raises(BadInput, match="does not depend on 'training'"):
        check_names(found, ["training"], "train")


def test_stages_that_cannot_be_searched(ready: Project) -> None:
    with pytest.raises(UserError, match=r"stage 'plain' offers nothing to a search: .* meta: \{search: MODULE\}"):
        upstreams(ready.root, "plain")
    with pytest.raises(UserError, match="Stage 'nowhere' not found"):
        upstreams(ready.root, "nowhere")
    with pytest.raises(UserError, match=r"'dvc\.yaml' names 3 stages; a search is of one"):
        upstreams(ready.root, "dvc.yaml")


def test_without_parameters(project: Project) -> None:
    project.pipeline({"train": {"cmd": "true", "meta": META}})
    with pytest.raises(BadInput, match=r"a search varies parameters in params\.yaml, and stage 'train' has none"):
        subject(project.root, "train")


def test_a_subject_is_plain(ready: Project) -> None:
    found = subject(ready.root, "train")
    assert isinstance(found, Subject)
    assert found.document["other"] == 1
