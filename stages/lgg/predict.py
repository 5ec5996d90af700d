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
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter
from cyclopts.validators import Number

from stages.command import run
from stages.errors import BadInput, BadParameters

if TYPE_CHECKING:
    from stages.lgg.inference.found import Scan

WARNING = "not a medical device: nothing here is for diagnosis or treatment"
SCANS_AT_ONCE = 4  # at most, for memory holds each of them with what is found
MOST_THREADS = 1024  # OpenMP ends the process where it cannot have as many as it is told
PACKAGES = ("torch", "numpy", "nibabel")


class Done(NamedTuple):
    """What is told of a scan."""

    row: dict[str, Any]  # of statistics.csv
    missing: tuple[str, ...]
    hashes: dict[str, str]
    known: list[str]  # networks that were trained on this patient


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
    precision: Literal["float32", "tfloat32", "bfloat16", "auto"] = "float32",
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
        precision: Of convolutions; auto is bfloat16 where the device computes in it.
        as_stored: Take slices as they lie in the file, whatever it says of the patient's front and sides.
    """
    print(WARNING, file=sys.stderr)
    # Imported here, so that --help need not wait for torch.
    from stages.atomic import staged
    from stages.lgg.inference.found import find
    from stages.lgg.inference.members import load_members, predict
    from stages.lgg.inference.memory import within_memory
    from stages.lgg.inference.reading import read
    from stages.lgg.inference.threads import side_by_side
    from stages.lgg.inference.written import check_out, picture, write
    from stages.lgg.inference.written import statistics as measured
    from stages.lgg.unet.batches import computed_in, own_device

    if not scans:
        raise BadInput("-i names no folder; give the folder of a scan, or of many")
    found = find(scans)
    check_out(found, out)
    every = threads or os.cpu_count() or 1
    at_once = min(len(found), every, SCANS_AT_ONCE)
    members = load_members(model, every, precision)

    def done(scan: "Scan") -> Done | str:
        """One scan, from its files to those of its mask; or what is wrong with it."""
        try:
            with within_memory("--batch or --threads", ", or resample the scan to larger voxels"):
                content = read(scan, as_stored=as_stored)
                predicted = predict(
                    members,
                    content,
                    threshold=threshold,
                    flip=flip,
                    largest=largest_component,
                    batch=batch,
                    precision=precision,
                    uncertainty=uncertainty,
                    threads=every // at_once,
                )
        except (BadInput, BadParameters) as error:
            return str(error) if scan.name in str(error) else f"{scan.name}: {error}"
        chosen: dict[str, Any] = {"mask": predicted.mask}
        if probabilities:
            chosen["probabilities"] = predicted.probabilities
        if uncertainty:
            chosen["uncertainty"] = predicted.uncertainty
        write(scan, content, chosen, out, picture(content, predicted.mask) if preview else None)
        known = sorted(name for name, model in members.named() if _names(scan.name) & {*model.about.trained_on})
        return Done(measured(scan.name, content.grid, predicted.mask), content.missing, content.hashes, known)

    rows, told, failed = list[dict[str, Any]](), list[dict[str, Any]](), dict[str, str]()
    for scan, one in zip(found, side_by_side(done, found, at_once), strict=True):
        if isinstance(one, str):
            failed[scan.name] = one
            if len(found) > 1:
                print(f"not done: {one}", file=sys.stderr)
            continue
        rows.append(one.row)
        told.append({**one.row, "missing": one.missing, "sha256": one.hashes, "trained_on_by": one.known})
        print(_line(one))
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
            "device": str(own_device()),
            "options": {
                "threshold": threshold,
                "flip": flip,
                "largest_component": largest_component,
                "batch": batch,
                "precision": computed_in(precision, own_device()),
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


def _line(done: Done) -> str:
    row = done.row
    size = f"{row['tumour_px']} px" if row["volume_ml"] is None else f"{row['volume_ml']:.2f} ml"
    without = f"; FLAIR stands in for {' and '.join(f'{one}-contrast' for one in done.missing)}" if done.missing else ""
    seen = f"; {', '.join(done.known)} trained on this patient" if done.known else ""
    return f"{row['scan']}: {size} in {row['slices_with_tumour']} of {row['slices']} slices{without}{seen}"


if __name__ == "__main__":
    run(main)
