"""Evolution: the same seed leads to the same individuals, they get better, and a bad number is one line."""

import pytest

from gliaflow.errors import BadInput
from gliaflow.experiments.search.evolution import CROSSOVERS, Evolution, EvolutionOptions
from gliaflow.experiments.search.space import Choices, Range, Value

SPACE = (Range("x", -1.0, 1.0), Range("n", 1, 64), Range("rate", 1e-4, 1.0, log=True), Choices("name", ("a", "b")))
FIRST: dict[str, Value] = {"x": 0.5, "n": 8, "rate": 0.1, "name": "a"}


def loss(values: dict[str, Value]) -> float:
    x, n = values["x"], values["n"]
    assert isinstance(x, float)
    assert isinstance(n, int)
    return (x - 0.25) ** 2 + abs(n - 32) / 64 + (values["name"] == "b")


def generations(
    way: EvolutionOptions, minimize: bool = True, first: dict[str, Value] | None = None
) -> list[list[dict[str, Value]]]:
    evolution = Evolution(SPACE, way, minimize, first)
    found = []
    for number in range(way.generations):
        asked = evolution.ask()
        found.append([values for _, values in asked])
        evolution.tell([(one, loss(v) * (1 if minimize else -1), {"generation": number}) for one, v in asked])
    assert len(evolution.study.trials) == way.population * way.generations
    key = "NSGAIISampler:generation"
    ordered = [one.system_attrs[key] for one in evolution.study.trials]
    assert ordered == [n for n in range(way.generations) for _ in range(way.population)]
    return found


def test_the_same_seed_leads_to_the_same_and_another_to_others() -> None:
    way = EvolutionOptions(population=6, generations=4, seed=3)
    assert generations(way) == generations(way)
    assert generations(way) != generations(EvolutionOptions(population=6, generations=4, seed=4))


@pytest.mark.parametrize("minimize", [True, False])
def test_generations_get_better(minimize: bool) -> None:
    found = generations(EvolutionOptions(population=20, generations=8, seed=1), minimize)
    means = [sum(map(loss, one)) / len(one) for one in found]
    assert means[-1] < means[0] / 2


def test_what_the_user_has_now_is_in_the_first_generation() -> None:
    found = generations(EvolutionOptions(population=5, generations=3), first=FIRST)
    assert found[0][0] == FIRST
    assert len(found[0]) == 5
    outside = {**FIRST, "x": 3.0}
    assert outside not in generations(EvolutionOptions(population=5, generations=1), first=outside)[0]


@pytest.mark.parametrize("crossover", CROSSOVERS)
def test_every_crossover(crossover: str) -> None:
    generations(EvolutionOptions(population=6, generations=3, crossover=crossover))


def test_an_individual_that_failed_is_the_worst_and_the_search_goes_on() -> None:
    evolution = Evolution(SPACE, EvolutionOptions(population=4, generations=3), minimize=True)
    for _ in range(3):
        asked = evolution.ask()
        scores = [None, *(loss(values) for _, values in asked[1:])]
        evolution.tell([(one, score, {}) for (one, _), score in zip(asked, scores, strict=True)])
    assert evolution.study.best_value < float("inf")
    assert len(evolution.study.trials) == 12


def test_a_space_of_names_alone() -> None:
    evolution = Evolution(SPACE[3:], EvolutionOptions(population=4, generations=2), minimize=True)
    for _ in range(2):
        evolution.tell([(one, 1.0, {}) for one, _ in evolution.ask()])


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (EvolutionOptions(population=1), "population of 2 or more"),
        (EvolutionOptions(generations=0), "1 generation or more"),
        (EvolutionOptions(mutation=1.5), "--mutation is 1.5"),
        (EvolutionOptions(crossover_probability=-1), "--crossover-probability is -1"),
        (EvolutionOptions(crossover="two-point"), "--crossover is 'two-point'; there are uniform"),
    ],
)
def test_numbers_that_make_no_sense(way: EvolutionOptions, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        way.check()
