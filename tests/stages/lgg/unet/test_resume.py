"""What a killed training goes on from, and whose state it never takes."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.lgg.train import TrainParams
from stages.lgg.unet import resume
from stages.lgg.unet.checkpoint import load_model, load_tensors
from stages.lgg.unet.network import UNet
from tests.stages.lgg.models import about
from tests.stages.lgg.test_train import CPU, ROOT, params


def test_state_of_other_parameters_data_or_code_is_not_picked_up(tmp_path: Path) -> None:
    inputs = [tmp_path / "images.npy", tmp_path / "masks.npy"]
    np.save(inputs[0], np.zeros((2, 4, 4, 3), np.uint8))
    np.save(inputs[1], np.arange(32, dtype=np.uint8).reshape(2, 4, 4))
    data = resume.digest(inputs)
    here = resume.key(params(), [data, "code"], CPU)
    assert resume.key(params(), [resume.digest(inputs), "code"], CPU) == here
    assert resume.key(params(epochs=4), [data, "code"], CPU) != here
    assert resume.key(params(), [data, "code"], torch.device("meta")) != here
    assert resume.key(params(), [data, "other"], CPU) != here
    np.save(inputs[1], np.load(inputs[1])[::-1])
    assert resume.digest(inputs) != data
    assert resume.key(params(), [resume.digest(inputs), "code"], CPU) != here


def test_the_code_is_that_of_training_run_as_a_command(tmp_path: Path) -> None:
    """The module that runs is then called __main__."""
    script = """
import sys
from stages import command
def show(main):
    resume = main.__globals__['resume']
    print(resume.digest(resume.code()))
command.run = show
import runpy
runpy.run_module('stages.lgg.train', run_name='__main__', alter_sys=True)
"""

    def code_after(module: str, text: str) -> str:
        shutil.rmtree(tmp_path / "stages", ignore_errors=True)
        shutil.copytree(ROOT / "stages", tmp_path / "stages")
        with (tmp_path / "stages" / module).open("r+") as file:  # a module that is there
            file.seek(0, 2)
            file.write(text)
        line = [sys.executable, "-c", script]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    now = code_after("lgg/unet/losses.py", "")
    assert len(now) == 65
    assert code_after("lgg/unet/losses.py", "# changed") != now
    assert code_after("lgg/train.py", "# changed") != now
    assert code_after("lgg/weigh.py", "# not imported") == now


def test_progress_keeps_the_best_by_validation_loss(tmp_path: Path) -> None:
    chosen = params()
    progress = resume.Progress(tmp_path / "key", chosen.network, about(), keep_all=False)
    for number, loss in enumerate([0.5, 0.3, 0.4, 0.3], 1):
        state = {"unet": _filled(chosen, number)}
        progress.save({"validation/loss": loss}, state)
    again = resume.Progress(tmp_path / "key", chosen.network, about(), keep_all=False)
    assert again.history == [{"validation/loss": loss} for loss in (0.5, 0.3, 0.4, 0.3)]
    assert load_tensors(tmp_path / "key/best.pt")["epoch"] == 2
    again.export(tmp_path / "model")
    assert load_tensors(tmp_path / "model/last.pt")["epoch"] == 4
    assert load_model(tmp_path / "model/best.pt").about.metrics == {"validation/loss": 0.3}
    again.discard()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["best.pt", "last.pt", "model"]


def test_a_kill_while_a_finished_training_is_discarded_leaves_none_without_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(folder: Path) -> None:
        next(folder.iterdir()).unlink()
        raise KeyboardInterrupt

    chosen = params()
    with resume.open_progress(tmp_path / "key", chosen.network, about(), keep_all=True) as progress:
        progress.save({"validation/loss": 1.0}, {"unet": _filled(chosen, 1)})
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(shutil, "rmtree", half)
            progress.discard()
    with resume.open_progress(tmp_path / "key", chosen.network, about(), keep_all=True) as again:
        assert again.history == []
        assert list(tmp_path.iterdir()) == []


def test_damaged_state_is_left_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = params()
    progress = resume.Progress(tmp_path / "key", chosen.network, about(), keep_all=False)
    progress.save({"validation/loss": 1.0}, {"unet": _filled(chosen, 1)})
    whole = (tmp_path / "key/state.pt").read_bytes()
    (tmp_path / "key/state.pt").write_bytes(whole[:-100])
    again = resume.Progress(tmp_path / "key", chosen.network, about(), keep_all=False)
    assert (again.history, again.state) == ([], None)
    assert "damaged; beginning anew" in capsys.readouterr().err


def test_the_mean_of_the_weights_is_what_comes_out_and_a_number_that_is_none_is_left_open(tmp_path: Path) -> None:
    chosen = params()
    progress = resume.Progress(tmp_path / "key", chosen.network, about(), keep_all=False)
    state = {"unet": _filled(chosen, 1), "mean": _filled(chosen, 2)}
    progress.save({"validation/loss": 1.0, "validation/dice_per_volume_mean": math.nan}, state)
    progress.export(tmp_path / "model")
    found = load_model(tmp_path / "model/last.pt")
    assert found.about.metrics == {"validation/loss": 1.0, "validation/dice_per_volume_mean": None}
    assert all(bool((tensor == 2).all()) for tensor in found.unet.state_dict().values())


def _filled(chosen: TrainParams, number: int) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(value, number) for name, value in UNet(chosen.network).state_dict().items()}
