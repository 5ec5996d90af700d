from stages.errors import bad_input


def test_one_problem_is_one_line() -> None:
    assert str(bad_input("a.zip", ["is empty"])) == "a.zip: is empty"


def test_twenty_problems_are_listed_and_the_rest_counted() -> None:
    lines = str(bad_input("a.zip", [f"problem {n}" for n in range(23)])).splitlines()
    assert lines[0] == "a.zip: 23 problems"
    assert lines[1] == "  - problem 0"
    assert lines[20] == "  - problem 19"
    assert lines[21:] == ["  … and 3 more"]
