"""What a book remembers of individuals."""

from pathlib import Path

from gliaflow.experiments.search.individuals import Book, Individual, Trained

ONE, TWO = Trained(({"a": 1.0},), seconds=1.5), Trained(({"a": 1.0}, {"a": 0.5}), True, seconds=2.5)


def test_it_remembers_the_longest_training(tmp_path: Path) -> None:
    book = Book(tmp_path / "deep/book.jsonl")
    assert book.get("k") == Trained()
    book.add("k", ONE)
    book.add("k", TWO)
    book.add("k", ONE)
    book.add("broken", Trained(error="the loss is nan"))
    again = Book(tmp_path / "deep/book.jsonl")
    assert again.get("k") == book.get("k") == TWO
    assert again.get("broken").error == "the loss is nan"


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    values = {"a": 0.1 + 0.2, "b": 5e-324, "c": 1.7976931348623157e308}
    Book(tmp_path / "book").add("k", Trained((values,)))
    assert Book(tmp_path / "book").get("k").epochs == (values,)


def test_a_line_that_was_cut_off(tmp_path: Path) -> None:
    Book(tmp_path / "book").add("k", ONE)
    with (tmp_path / "book").open("a") as file:
        file.write('{"key": "half", "epo')
    Book(tmp_path / "book").add("l", TWO)
    again = Book(tmp_path / "book")
    assert (again.get("k"), again.get("half"), again.get("l")) == (ONE, Trained(), TWO)


def test_what_is_left_to_train() -> None:
    assert [ONE.reaches(until) for until in (1, 2, None)] == [True, False, False]
    assert [TWO.reaches(until) for until in (1, 2, 3, None)] == [True] * 4
    assert Trained(error="x").reaches(None)


def test_scores() -> None:
    assert [TWO.score("a", until) for until in (1, 2, 9, None)] == [1.0, 0.5, 0.5, 0.5]
    assert TWO.score("b") is None
    assert Trained().score("a") is None
    assert Trained(({"a": 1.0},), error="x").score("a") is None
    assert [Trained(({"a": float(bad)},)).score("a") for bad in ("nan", "inf", "-inf")] == [None] * 3


def test_a_name_tells_the_generation() -> None:
    one = Individual(3, "abcdef0123", {"x": 1}, 0.5, 2, 1.0)
    assert one.name == "g3-abcdef"
    assert one.plain()["name"] == "g3-abcdef"
