"""A door for tests: it counts in a file what it loads and trains, and does what the parameters say."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LOADS = ("data",)
LOG = Path("door.log")
kept: list[bytes] = []


def note(text: str) -> None:
    """Append a line."""
    with LOG.open("a") as file:
        file.write(f"{text} {os.getpid()}\n")


def load(params: Mapping[str, Any]) -> dict[str, Any]:
    """The data is the parameter itself; some of them fail."""
    note(f"load {params['data']}")
    if params["data"] == "broken":
        raise ValueError("no data")
    if params["data"] == "once" and len(kept):
        raise RuntimeError("only a new process can")
    kept.append(b"")
    return {"data": params["data"]}


def train(data: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Epochs whose loss is 1 / their number; what `do` says happens in the second."""
    assert data["data"] == params["data"]
    for number in range(1, params.get("epochs", 3) + 1):
        note(f"epoch {params['name']} {number}")
        time.sleep(params.get("sleep", 0))
        do = params.get("do") if number == 2 else None
        if do == "fail":
            raise ValueError("bad luck")
        if do == "die" or (do == "die once" and LOG.read_text().count(f"epoch {params['name']} 2") == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if do == "fork and die":
            if os.fork() == 0:
                time.sleep(600)
            os.kill(os.getpid(), signal.SIGKILL)
        if do == "print":
            print("{}")
            os.write(1, b"noise\n")
        if do == "leak":
            kept.append(os.urandom(200 << 20))
        yield {"loss": 1 / number}
