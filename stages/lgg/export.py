"""Write the network that was scored for people who have nothing of this project, and a page about it.

Inputs:  a folder with images.npy (N s s 3 uint8), masks.npy, slices.csv, split.csv; a folder of weights; the metrics
         (JSON) and the table of patients that lgg-evaluate wrote
Outputs: a folder with unet.onnx and unet.safetensors; a model card (Markdown)
"""

import json
from pathlib import Path
from typing import Any

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput
from stages.lgg.arrays import map_arrays
from stages.lgg.sharing.card import COLUMNS, MEASURED
from stages.lgg.sharing.card import card as make_card
from stages.lgg.sharing.graph import CLOSE, difference, to_onnx
from stages.lgg.tables import read_scores, read_slices, read_split, rows
from stages.lgg.unet.checkpoint import Model, load_model, save_safetensors, weights_of

ADVICE = "run dvc repro lgg-evaluate"


def main(data: Path, model: Path, *, metrics: Path, patients: Path, out: Path, card: Path, opset: int = 18) -> None:
    """Write the network of the folder MODEL that METRICS and PATIENTS are of into the folder OUT, and CARD about it.

    OUT gets unet.onnx and unet.safetensors, beside what it holds. Before, onnxruntime and torch must agree on the
    validation patient of DATA with most tumour.
    """
    measured = _metrics(metrics)
    path = weights_of(model, measured["checkpoint"])
    trained, scored = load_model(path), read_scores(patients, COLUMNS, ADVICE)
    _check(trained, path, measured, metrics, set(scored["patient"]), patients)
    slices = read_slices(data / "slices.csv")
    images, _ = map_arrays(data, len(slices), trained.unet.network.multiple)
    held_out = slices.iloc[rows(slices, read_split(data / "split.csv"), "validation")]
    most = held_out.groupby("patient")["tumour_px"].sum().idxmax()
    content = to_onnx(trained, opset)
    apart = difference(content, trained, images[held_out.loc[held_out["patient"] == most, "slice"].to_numpy()])
    if not apart <= CLOSE:
        raise BadInput(f"unet.onnx: probabilities for {most} differ by {apart:.1e} from torch's, more than {CLOSE:.0e}")
    page = make_card(trained, measured, scored)
    with staged(out / "unet.onnx", out / "unet.safetensors", card) as (graph, tensors, text):
        graph.write_bytes(content)
        save_safetensors(tensors, trained)
        text.write_text(page, encoding="utf-8")
    print(f"unet.onnx says what torch says, within {apart:.1e} in probability")


def _check(
    trained: Model, weights: Path, measured: dict[str, Any], metrics: Path, scored: set[str], patients: Path
) -> None:
    """Refuse a page that would tell of one network what was measured of another."""
    if known := sorted(scored & set(trained.about.trained_on)):
        raise BadInput(f"{weights}: trained on {known[0]}, whom {patients} has as scored; {ADVICE}")
    about = {"scaling": trained.about.scaling, "slice_size_px": trained.about.side}
    for name, value in about.items():
        if measured[name] != value:
            raise BadInput(f"{metrics}: its {name} is {measured[name]}, and that of {weights} is {value}; {ADVICE}")


def _metrics(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; {ADVICE}") from None
    except ValueError as error:
        raise BadInput(f"{path}: not the metrics of an evaluation ({error}); {ADVICE}") from None
    if not isinstance(values, dict) or (missing := sorted(MEASURED - values.keys())):
        named = f"no {missing[0]}" if isinstance(values, dict) else f"a {type(values).__name__}"
        raise BadInput(f"{path}: not the metrics of an evaluation ({named}); {ADVICE}")
    return values


if __name__ == "__main__":
    run(main)
