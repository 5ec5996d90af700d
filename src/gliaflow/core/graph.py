"""The graph to run as frozen stages: who waits for whom, and what each asks for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from gliaflow.core.settings import Settings


@dataclass(frozen=True)
class Stage:
    """One stage of the plan."""

    address: str  # DVC's name of it: "lgg-train", "other/dvc.yaml:train", "images.dvc"
    upstreams: tuple[str, ...] = ()  # in the plan, whose outputs it reads
    settings: Settings = field(default_factory=Settings)
    metrics: bool = False  # whether it makes any


@dataclass(frozen=True)
class Graph:
    """The stages in the order in which `dvc repro` runs them one by one: each after its upstreams."""

    stages: tuple[Stage, ...]

    @cached_property
    def by_address(self) -> dict[str, Stage]:
        """Every stage under its address."""
        return {stage.address: stage for stage in self.stages}

    @cached_property
    def place(self) -> dict[str, int]:
        """The position of every address in DVC's order."""
        return {stage.address: number for number, stage in enumerate(self.stages)}

    @cached_property
    def downstreams(self) -> dict[str, list[str]]:
        """Of every address, the stages that read its outputs."""
        found: dict[str, list[str]] = {stage.address: [] for stage in self.stages}
        for stage in self.stages:
            for upstream in stage.upstreams:
                found[upstream].append(stage.address)
        return found

    def remaining(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Of every address, the seconds of the longest path that begins with it, by the known `seconds` of stages.

        A stage of which nothing is known counts as one in the middle of those that are known.
        """
        known = sorted(seconds[one.address] for one in self.stages if one.address in seconds)
        usual = known[len(known) // 2] if known else 1.0
        found: dict[str, float] = {}
        for stage in reversed(self.stages):
            after = max((found[one] for one in self.downstreams[stage.address]), default=0.0)
            found[stage.address] = seconds.get(stage.address, usual) + after
        return found

    @property
    def is_chain(self) -> bool:
        """Whether each stage waits for the one before it, so that no two can run side by side."""
        return all(before.address in after.upstreams for before, after in pairwise(self.stages))

    def dependents(self, address: str) -> list[str]:
        """All that waits for `address`, directly or not, in DVC's order."""
        found: set[str] = set()
        waiting = [address]
        while waiting:
            new = set(self.downstreams[waiting.pop()]) - found
            found |= new
            waiting += new
        return self.in_order(found)

    def in_order(self, addresses: Iterable[str]) -> list[str]:
        """`addresses` in DVC's order."""
        return sorted(addresses, key=self.place.__getitem__)
