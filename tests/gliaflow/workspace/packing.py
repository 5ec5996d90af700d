"""A repository that other hosts can have, and a stage of it packed for one."""

from pathlib import Path
from typing import Any

from gliaflow.core.options import Options
from gliaflow.core.ports import Parcel
from gliaflow.workspace.workspace import Workspace
from tests.support.repos import Project, environment


def repository(tmp_path: Path) -> Project:
    """A repository with a remote, and with files that git ignores."""
    made = Project(tmp_path / "project", environment(tmp_path))
    made.write({"src/seed.txt": "1\n", "src/a b[1].txt": "", ".gitignore": "*.log\n/skipped\n"})
    config = made.root / ".dvc/config"
    config.write_text(f"{config.read_text()}    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n")
    made.commit()
    return made


def packed(project: Project, stage: dict[str, Any], **others: Any) -> Parcel:
    """The stage `s`, prepared as one that is to run on another host."""
    project.pipeline({"s": stage, **others})
    with Workspace(project.root, Options(single_item=True)) as workspace:
        workspace.plan(["s"])
        found = workspace.prepare("s", force=True, travels=True).parcel
        assert found
        return found
