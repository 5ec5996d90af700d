"""The GPUs of this machine, as CUDA_VISIBLE_DEVICES and nvidia-smi name them."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LISTED = re.compile(r"^(?:GPU )?(\d+)\s*[,:].*?((?:GPU|MIG)-[\w-]+)?\)?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Gpu:
    """A GPU as CUDA_VISIBLE_DEVICES calls it, and the name of its lock, the same for every flow."""

    name: str
    lock: str


def visible_gpus(environment: Mapping[str, str]) -> Iterator[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES names, by index or UUID; where it is not set, all that nvidia-smi lists."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and not chosen.strip():
        return
    uuids, seen = _listed(environment), set[str]()
    names = uuids if chosen is None else [name.strip() for name in chosen.split(",")]
    for name in names:
        if not name or (name.lstrip("-").isdigit() and name not in uuids):
            return  # to CUDA, too, an index that is not there ends the list
        full = uuids.get(name) or next((uuid for uuid in uuids.values() if uuid.startswith(name)), name)
        if full not in seen:
            seen.add(full)
            yield Gpu(name, f"gpu-{full}".replace("/", "-"))


def _listed(environment: Mapping[str, str]) -> dict[str, str]:
    """Index → UUID of every GPU."""
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return {}
    line = [program, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        shown = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True, env=dict(environment))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {index: uuid or index for index, uuid in LISTED.findall(shown.stdout)}
