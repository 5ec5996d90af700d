"""The graphs that are measured, always the same, and the Snakefile of each."""

import random
from typing import TypedDict


class Stage(TypedDict):
    """What dvc.yaml says of a stage."""

    cmd: str
    deps: list[str]
    outs: list[str]


Stages = dict[str, Stage]

SEED = {"seed.txt": "seed\n"}
FOLDER = "data"


def stage(number: int, deps: list[str], reads: str = "") -> Stage:
    """One that writes what it reads, all that it depends on by default, and its number."""
    out, command = f"o{number}.txt", reads or f"cat {' '.join(deps)}"
    return {"cmd": f"{command} > {out} && echo {number} >> {out}", "deps": deps, "outs": [out]}


def graph(number: int) -> Stages:
    """Stages that each read up to two earlier outputs."""
    chance, found = random.Random(1), Stages()
    for n in range(number):
        deps = sorted({f"o{chance.randrange(n)}.txt" for _ in range(2)}) if n else list(SEED)
        found[f"s{n}"] = stage(n, deps)
    return found


def two(changing: str) -> Stages:
    """A stage, and one after it that reads a file of its own too."""
    return {"s0": stage(0, list(SEED)), "s1": stage(1, ["o0.txt", changing])}


def sleepers(number: int, seconds: int) -> Stages:
    """Independent stages that wait."""
    return {f"s{n}": stage(n, list(SEED), f"sleep {seconds}; cat seed.txt") for n in range(number)}


def readers(number: int) -> Stages:
    """Independent stages that read all files of one folder."""
    return {f"s{n}": stage(n, [FOLDER], f"cat {FOLDER}/*.txt | cksum") for n in range(number)}


def files(number: int) -> dict[str, str]:
    """The files of that folder, path → text."""
    return {f"{FOLDER}/{n:05}.txt": f"{n}\n" for n in range(number)}


def outputs(stages: Stages) -> list[str]:
    """The paths of all that the stages write."""
    return [out for each in stages.values() for out in each["outs"]]


def snakefile(stages: Stages) -> str:
    """The same stages as rules of Snakemake; its target is what no stage reads."""
    read = {path for each in stages.values() for path in each["deps"]}
    rules = [f"rule all:\n    input: {_paths([path for path in outputs(stages) if path not in read])}\n"]
    for name, each in stages.items():
        command = each["cmd"].replace("{", "{{").replace("}", "}}")
        lines = [f"input: {_paths(each['deps'])}", f"output: {_paths(each['outs'])}", f"shell: {command!r}"]
        rules.append(f"rule {name}:\n" + "".join(f"    {line}\n" for line in lines))
    return "\n".join(rules)


def _paths(paths: list[str]) -> str:
    return ", ".join(map(repr, paths))
