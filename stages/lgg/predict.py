"""Use a trained U-Net: masks of scans that nobody has outlined. A command, not a stage.

Inputs:  folders of scans, see stages.lgg.inference.found; a network, or several that vote
Outputs: a mask for each scan with the same geometry, and what else is asked for
"""

import csv
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from stages.command import run
from stages.errors import BadInput, BadParameters

WARNING = "not a medical device: nothing here is for diagnosis or treatment"
MOST_THREADS = 1024  # OpenMP ends the process where it cannot have as many as it is told
PACKAGES = ("torch", "numpy", "nibabel")


def main(
    *,
    scans: Annotated[list[Path], Parameter(name=["--input", "-i"], consume_multiple=True, negative="")],
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    model: Path,
    probabilities: bool = False,
    uncertainty: bool = False,
    preview: bool = False,
    statistics: bool = False,
    report: bool = False,
    threshold: Annotated[float, Parameter(validator=Number(gt=0, lt=1))] = 0.5,
    flip: bool = True,
    largest_component: bool = False,
    batch: Annotated[int, Parameter(validator=Number(gte=1))] = 8,
    threads: Annotated[int | None, Parameter(validator=Number(gte=1, lte=MOST_THREADS))] = None,
    precision: Literal["float32", "tfloat32", "bfloat16"] = "float32",
    as_stored: bool = False,
) -> None:
    """Write a mask for each scan. Not a medical device.

    A scan is a folder with NAME_FLAIR.nii.gz and perhaps NAME_T1w.nii.gz and NAME_ce-gd_T1w.nii.gz,
    with NAME_0000.nii.gz to NAME_0002.nii.gz (pre-contrast, FLAIR, post-contrast), with slices NAME_1.tif or .png,
    or with a DICOM study.

    Args:
        scans: Folders of scans; folders below them count too.
        out: Folder for NAME_mask.nii.gz, or NAME/NAME_1_mask.tif for slices.
        model: last.pt, or a folder of networks that vote.
        probabilities: Also write the probability of each voxel.
        uncertainty: Also write how unsure it is: the entropy in bits, or the deviation between several networks.
        preview: Also write a PNG of the slice with the largest mask.
        statistics: Also write statistics.csv, a row for each scan: its volume in ml where known, and px.
        report: Also write report.json: hashes of scans and networks, versions, device, options.
        threshold: Probability from which a voxel counts as tumour.
        flip: Also look at the mirror image, and take the mean.
        largest_component: Keep the largest piece alone.
        batch: Slices at once.
        threads: CPU threads; all of them by default.
        precision: Of convolutions.
        as_stored: Take slices as they lie in the file, whatever it says of the patient's front and sides.
    """
    print(WARNING, file=sys.stderr)
    # Imported here, so that --help need not wait for torch.
    from stages.atomic import staged
    from stages.lgg.inference.found import find
    from stages.lgg.inference.members import load_members, predict
    from stages.lgg.inference.memory import within_memory
    from stages.lgg.inference.reading import read
    from stages.lgg.inference.written import check_out, picture, write
    from stages.lgg.inference.written import statistics as measured

    if not scans:
        raise BadInput("-i names no folder; give the folder of a scan, or of many")
    found = find(scans)
    check_out(found, out)
    members = load_members(model, threads or os.cpu_count() or 1, precision)
    rows, told, failed = list[dict[str, Any]](), list[dict[str, Any]](), dict[str, str]()
    for scan in found:
        try:
            with within_memory("--batch", ", or resample the scan to larger voxels"):
                content = read(scan, as_stored=as_stored)
                predicted = predict(
                    members,
                    content,
                    threshold=threshold,
                    flip=flip,
                    largest=largest_component,
                    batch=batch,
                    precision=precision,
                )
        except (BadInput, BadParameters) as error:
            failed[scan.name] = str(error) if scan.name in str(error) else f"{scan.name}: {error}"
            if len(found) > 1:
                print(f"not done: {failed[scan.name]}", file=sys.stderr)
            continue
        chosen: dict[str, Any] = {"mask": predicted.mask}
        if probabilities:
            chosen["probabilities"] = predicted.probabilities
        if uncertainty:
            chosen["uncertainty"] = predicted.uncertainty
        write(scan, content, chosen, out, picture(content, predicted.mask) if preview else None)
        known = sorted(name for name, model in members.named() if _names(scan.name) & {*model.about.trained_on})
        rows.append(measured(scan.name, content.grid, predicted.mask))
        told.append({**rows[-1], "missing": content.missing, "sha256": content.hashes, "trained_on_by": known})
        print(_line(rows[-1], content.missing, known))
    if statistics and rows:
        with staged(out / "statistics.csv") as (part,), part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if report:
        content_of = {
            "scans": told,
            "failed": failed,
            "model": {"sha256": members.hashes, "side_px": members.side, "licences": members.licences},
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "device": str(next(members.models[0].unet.parameters()).device),
            "options": {
                "threshold": threshold,
                "flip": flip,
                "largest_component": largest_component,
                "batch": batch,
                "precision": precision,
                "as_stored": as_stored,
            },
            "warning": WARNING,
        }
        with staged(out / "report.json") as (part,):
            part.write_text(json.dumps(content_of, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if failed and len(found) == 1:
        raise BadInput(failed[found[0].name])
    if failed:
        raise BadInput(f"{len(rows)} of {len(found)} scans were done; the others are named above")


def _names(scan: str) -> set[str]:
    """What a patient may be called whose scan this is: also, without its session, what BIDS calls him."""
    return {scan, scan.partition("_ses-")[0]}


def _line(row: dict[str, Any], missing: tuple[str, ...], known: list[str]) -> str:
    size = f"{row['tumour_px']} px" if row["volume_ml"] is None else f"{row['volume_ml']:.2f} ml"
    without = f"; FLAIR stands in for {' and '.join(f'{name}-contrast' for name in missing)}" if missing else ""
    seen = f"; {', '.join(known)} trained on this patient" if known else ""
    return f"{row['scan']}: {size} in {row['slices_with_tumour']} of {row['slices']} slices{without}{seen}"


if __name__ == "__main__":
    run(main)
