"""What changed between two data versions: outputs, metrics, licence and parents, and what the project's commands say.

Hashes come from the cards, so that data is read only for a stage that names a command for it (see drivers.py).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gliaflow.versioning.compared import Compared, by_name, compare_metrics, metric_lines
from gliaflow.versioning.drivers import run_drivers
from gliaflow.versioning.versions import Version, read


@dataclass(frozen=True)
class Difference:
    """A data version against an older one."""

    old: Version
    new: Version
    outputs: Compared[str]
    """By path."""
    metrics: Compared[tuple[str, str]]
    """By file and dotted name."""
    drivers: Mapping[str, Collection[str]]
    """The lines that the command of a stage printed, by stage."""

    @property
    def equal(self) -> bool:
        """Whether data, metrics and licence are the same; the same data under two names has two parents."""
        return not (self.outputs.differing() or self.metrics.differing() or self._change("licence"))

    def text(self, every: bool = False) -> str:
        """For a person, in lines; with `every`, metrics that are equal too."""
        names = self.old.name, self.new.name
        if self.equal:
            counts = f"{self.outputs.same} outputs, {self.new.bytes:,} bytes, {self.metrics.same} metrics"
            return f"{names[0]} and {names[1]} are equal: {counts}\n"
        lines = [f"{names[0]} → {names[1]}"]
        for stage, printed in self.drivers.items():
            lines += ["", f"{stage}:", *(f"  {line}".rstrip() for line in printed)]
        lines += ["", f"outputs: {self.outputs}", *self._outputs()]
        before, after = by_name(self.old.metrics), by_name(self.new.metrics)
        keys = before.keys() | after.keys() if every else self.metrics.differing()
        lines += ["", f"metrics: {self.metrics}", *metric_lines(before, after, keys, names)]
        licence, parents = self._change("licence"), self._change("parents")
        lines += [*([""] if licence or parents else []), *licence, *parents]
        return "\n".join(lines) + "\n"

    def plain(self) -> dict[str, Any]:
        """For a program: plain data, of outputs and metrics those that are not the same."""
        before, after = by_name(self.old.metrics), by_name(self.new.metrics)
        metrics = [
            {
                "file": file,
                "metric": name,
                "old": before.get((file, name)),
                "new": after.get((file, name)),
                "change": word,
            }
            for word, keys in self.metrics.names()
            for file, name in keys
        ]
        return {
            "old": self.old.name,
            "new": self.new.name,
            "equal": self.equal,
            "outputs": [{"path": path, "change": word} for word, paths in self.outputs.names() for path in paths],
            "metrics": metrics,
            "same": {"outputs": self.outputs.same, "metrics": self.metrics.same},
            "licence": [self.old.plain()["licence"], self.new.plain()["licence"]],
            "parents": [list(self.old.parents), list(self.new.parents)],
            "stages": {stage: list(lines) for stage, lines in self.drivers.items()},
        }

    def _outputs(self) -> Iterator[str]:
        """A line for each output that is not the same, with its sizes."""
        width = max((len(path) for path in self.outputs.differing()), default=0)
        for word, paths in self.outputs.names():
            for path in paths:
                both = (version.outputs.get(path) for version in (self.old, self.new))
                sizes = " → ".join(f"{facts.bytes:,}" for facts in both if facts)
                yield f"  {word:<7}  {path:<{width}}  {sizes} bytes"

    def _change(self, key: str) -> list[str]:
        """A line about the licence or the parents, if they differ."""
        both = (getattr(version, key) for version in (self.old, self.new))
        before, after = (", ".join([value] if isinstance(value, str) else value) or "none" for value in both)
        return [f"{key}: {before} → {after}"] if before != after else []


def compare(repo: Any, old: str, new: str, remote: str | None = None) -> Difference:
    """The version `new` against `old`; `remote` is the DVC remote to fetch from what a command of the project reads.

    Raises:
        UserError: there is no such version, or an object that a command is to read is damaged or missing here and on
            the remote.
        TransientError: the remote cannot be reached.
    """
    before, after = read(repo, old), read(repo, new)
    outputs = Compared.of(
        before.outputs, after.outputs, lambda path: before.outputs[path].hash == after.outputs[path].hash
    )
    metrics = compare_metrics(by_name(before.metrics), by_name(after.metrics))
    differing = outputs.differing()
    printed = run_drivers(repo, before, after, differing, remote) if differing else {}
    return Difference(before, after, outputs, metrics, printed)
