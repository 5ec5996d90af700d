"""Evolution of a population: Optuna's NSGA-II asks for individuals and is told their scores, generation by generation.

A whole generation is asked for before any of it is told, and it is told in the order in which it was asked for. So the
same seed and the same scores lead to the same individuals, whatever ends first.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gliaflow.errors import BadInput
from gliaflow.experiments.search.space import Choices, Range, Value, holds

CROSSOVERS = ("uniform", "blxalpha", "sbx", "vsbx", "spx", "undx")


@dataclass(frozen=True)
class EvolutionOptions:
    """How a population evolves."""

    population: int = 20
    generations: int = 5
    mutation: float | None = None
    """The probability with which a parameter of a child is drawn anew; by default 1 / the number of parameters."""
    crossover: str = "uniform"
    crossover_probability: float = 0.9
    seed: int = 0

    def check(self) -> None:
        """Look whether the numbers make sense.

        Raises:
            BadInput: they do not.
        """
        if self.population < 2 or self.generations < 1:
            raise BadInput("a search needs a population of 2 or more, and 1 generation or more")
        for name, value in (("mutation", self.mutation), ("crossover-probability", self.crossover_probability)):
            if value is not None and not 0 <= value <= 1:
                raise BadInput(f"--{name} is {value}; it is a probability, from 0 to 1")
        if self.crossover not in CROSSOVERS:
            raise BadInput(f"--crossover is '{self.crossover}'; there are {', '.join(CROSSOVERS)}")


class Evolution:
    """The population of one search; `first` are values that the first generation has among others."""

    def __init__(
        self,
        space: Sequence[Range | Choices],
        way: EvolutionOptions,
        minimize: bool,
        first: Mapping[str, Value] | None = None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._way = optuna, way
        self._distributions = {one.name: _distribution(optuna, one) for one in space}
        numeric = any(isinstance(one, Range) for one in space)
        self._worst = math.inf if minimize else -math.inf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these are experimental to Optuna
            self._sampler = optuna.samplers.NSGAIISampler(
                population_size=way.population,
                mutation_prob=way.mutation,
                crossover=_crossover(optuna, way.crossover) if numeric else None,
                crossover_prob=way.crossover_probability,
                seed=way.seed,
            )
            self.study = optuna.create_study(direction="minimize" if minimize else "maximize", sampler=self._sampler)
        self._first = dict(first) if first and all(holds(one, first[one.name]) for one in space) else None

    def ask(self) -> list[tuple[Any, dict[str, Value]]]:
        """The individuals of the next generation: what to tell of each, and its values."""
        first, self._first = self._first, None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trials = [self.study.ask(self._distributions) for _ in range(self._way.population - bool(first))]
        return [*([(first, first)] if first else []), *((trial, dict(trial.params)) for trial in trials)]

    def tell(self, scores: Sequence[tuple[Any, float | None, Mapping[str, Any]]]) -> None:
        """Take the scores of a generation; None of an individual that failed, which is the worst. The rest is kept."""
        for trial, score, more in scores:
            value = self._worst if score is None else score
            if isinstance(trial, dict):  # the values that the user has now, which nobody was asked for
                self._add(trial, value, more)
                continue
            for name, one in more.items():
                trial.set_user_attr(name, one)
            self.study.tell(trial, value)

    def _add(self, values: dict[str, Value], score: float, more: Mapping[str, Any]) -> None:
        """Have the study know an individual of the first generation, as if it had been asked for."""
        key = self._sampler._get_generation_key()
        distributions, attributes = self._distributions, {key: 0}
        made = self._optuna.trial.create_trial(
            params=values, distributions=distributions, value=score, user_attrs=dict(more), system_attrs=attributes
        )
        self.study.add_trial(made)


def _distribution(optuna: Any, one: Range | Choices) -> Any:
    if isinstance(one, Choices):
        return optuna.distributions.CategoricalDistribution(one.values)
    if one.whole:
        return optuna.distributions.IntDistribution(one.low, one.high, log=one.log, step=one.step or 1)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _crossover(optuna: Any, name: str) -> Any:
    made = {
        "uniform": "UniformCrossover",
        "blxalpha": "BLXAlphaCrossover",
        "sbx": "SBXCrossover",
        "vsbx": "VSBXCrossover",
        "spx": "SPXCrossover",
        "undx": "UNDXCrossover",
    }
    return getattr(optuna.samplers.nsgaii, made[name])()
