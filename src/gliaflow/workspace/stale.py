"""What killed processes left behind in `.dvc/tmp/rwlock`, where DVC notes who reads and writes which path."""

import json
from pathlib import Path
from typing import Any

import psutil

CLOCK_SECONDS = 2.0  # how far a process's start and a file's time may be off


def forget_the_dead(path: Path) -> None:
    """Drop the entries of processes that are gone; to be called under DVC's lock.

    DVC does so too, but takes a zombie, or another process that got the pid, for the one that wrote the entry, and
    refuses a file whose writer was killed while it wrote.
    """
    try:
        text, written = path.read_bytes(), path.stat().st_mtime
    except FileNotFoundError:
        return
    found: Any = None
    kept: dict[str, Any] = {"write": {}, "read": {}}
    try:
        found = json.loads(text)
        kept["write"] = {name: info for name, info in found.get("write", {}).items() if _lives(info, written)}
        readers = {name: [i for i in infos if _lives(i, written)] for name, infos in found.get("read", {}).items()}
        kept["read"] = {name: infos for name, infos in readers.items() if infos}
    except (ValueError, AttributeError, TypeError, KeyError):
        kept = {"write": {}, "read": {}}
    if kept != found:
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps(kept))
        partial.replace(path)


def _lives(info: dict[str, Any], written: float) -> bool:
    try:
        process = psutil.Process(int(info["pid"]))
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= written + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
