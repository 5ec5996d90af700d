"""What a run was made of, on its page, and how to get the same again."""

import shlex
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from gliaflow.page.facts import RunFacts
from gliaflow.page.markup import Child, number, prose, rows_of, size, tag

NAMED = ("gliaflow", "dvc", "prefect")  # packages that are named before all others
REQUIREMENTS = (
    "requirements",
    "pyproject.toml",
    "environment.y",
    "uv.lock",
    "poetry.lock",
    "Pipfile",
    "renv.lock",
    "conda-lock",
)
MOST_OUTPUTS = 400
SHOWN_CHANGED = 40
ENDINGS = {"on_error": {"keep-going": "--keep-going", "ignore": "--ignore-errors"}}


def versions(run: RunFacts) -> list[Element]:
    """Versions of code, data and packages."""
    first, told = run.first, run.versions
    facts: list[tuple[str, Child]] = [("commit", tag("code", run.commit) if run.commit else "not known")]
    facts.append(("not committed", _uncommitted(run)))
    for path, hash in run.locks.items():
        facts.append((f"{path} at the end", ["MD5 ", tag("code", hash)]))
    packages = told.get("packages") if isinstance(told.get("packages"), dict) else {}
    assert isinstance(packages, dict)
    if told:
        facts.append(("Python of gliaflow", f"{told.get('python')}, {told.get('system')}, {told.get('cpus')} CPUs"))
        facts.append(("packages", ", ".join(f"{name} {packages[name]}" for name in NAMED if name in packages)))
    for path, hash in _requirements(run).items():
        facts.append(("stages read", [path, ": ", tag("code", hash)]))
    facts.append(("where it ran", f"{first.get('host')}: {first.get('root')}"))
    listed = tag("dl", [[tag("dt", name), tag("dd", value)] for name, value in facts], class_="facts")
    return [listed, *_data(run), *_parameters(run), *_packages(packages)]


def _uncommitted(run: RunFacts) -> Child:
    if run.changed is None:
        return "not known"
    if not run.changed:
        return "nothing"
    more = len(run.changed[SHOWN_CHANGED:]) + run.more_changed
    shown: list[Child] = [[tag("code", one), " "] for one in run.changed[:SHOWN_CHANGED]]
    return [shown, f"and {more} more" if more else ""]


def _requirements(run: RunFacts) -> dict[str, str]:
    """The files with requirements that stages read, with their hashes."""
    reads = [item for stage in run.stages.values() for item in stage.recorded.reads.items()]
    return {path: hash for path, hash in sorted(reads) if path.rpartition("/")[2].startswith(REQUIREMENTS)}


def _data(run: RunFacts) -> list[Element]:
    rows = [
        (out.path, hash_of, size(out.size), stage.address)
        for stage in run.stages.values()
        for out in stage.recorded.outputs
        if (hash_of := out.hash)
    ]
    if not rows:
        return []
    return [_folded(f"Data: {len(rows)} outputs", ("output", "hash", "size", "stage"), rows)]


def _parameters(run: RunFacts) -> list[Element]:
    found = {name: value for stage in run.stages.values() for name, value in stage.recorded.parameters.items()}
    rows = [(name, str(value)) for name, value in sorted(found.items())]
    return [_folded(f"Parameters: {len(rows)}", ("parameter", "value"), rows)] if rows else []


def _packages(packages: Mapping[object, object]) -> list[Element]:
    rows = [(str(name), str(version)) for name, version in packages.items()]
    title = f"Packages beside gliaflow: {len(rows)} (stages may run with another Python)"
    return [_folded(title, ("package", "version"), rows)] if rows else []


def _folded(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Element:
    more = tag("p", f"and {len(rows) - MOST_OUTPUTS} more", class_="note") if rows[MOST_OUTPUTS:] else None
    return tag("details", tag("summary", title), rows_of(columns, rows[:MOST_OUTPUTS], class_="cards dense"), more)


def again(run: RunFacts) -> list[Element]:
    """Commands that lead to the same data, or make it anew."""
    first = run.first
    lines = [f"git checkout {shlex.quote(run.commit)}"] if run.commit else []
    lines += ["dvc pull", command(first.get("parameters"))]
    found = [
        tag("p", "In a clone of the repository, in the folder in which the run was called:"),
        tag("pre", tag("code", "\n".join(lines)), tabindex=0),
    ]
    if not run.commit:
        found.append(tag("p", "The journal of this run names no commit: check out the right one first.", class_="why"))
    if run.changed:
        changed = number(len(run.changed) + run.more_changed, "path")
        text = f"The commit does not hold all that the run read: {changed} differed. Bring them to that state first."
        found.append(tag("p", text, " They are named under “not committed”.", class_="why"))
    text = (
        "`dvc pull` brings what the commit's dvc.lock names, if the remote has it. What then differs, "
        "`gliaflow repro` runs, or restores from the run-cache. The same data has the "
        "same hashes: compare dvc.lock with the table above."
    )
    found.append(tag("p", prose(text)))
    return found


def command(parameters: object) -> str:
    """The call of the run, as a line for a shell."""
    told = parameters if isinstance(parameters, dict) else {}
    targets = [str(one) for one in told.get("targets") or ()]
    words = ["gliaflow", "repro"]
    for name, value in (told.get("flags") or {}).items():
        if name in ENDINGS:
            words += filter(None, [ENDINGS[name].get(str(value))])
        elif value is True:
            words.append(f"--{name.replace('_', '-')}")
        elif name == "run_cache":
            words.append("--no-run-cache")
    words += (["--"] if any(one.startswith("-") for one in targets) else []) + targets
    return shlex.join(words)
