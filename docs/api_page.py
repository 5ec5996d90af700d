"""The page of the Python API, from the signatures and docstrings of the public names of `gliaflow`."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import gliaflow
from gliaflow import as_dvc

SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Attributes):$", re.MULTILINE)
ITEM = re.compile(r"^    (\S.*?): (.*(?:\n     +\S.*)*)", re.MULTILINE)
ROOMY = 100  # characters of a signature on one line
GROUPS = ("Functions", "Values", "Events", "Doors", "Errors")
Defined = ast.FunctionDef | ast.ClassDef


def page(introduction: str) -> str:
    """The page: all public names, in groups, and DVC's own signature."""
    names: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in gliaflow.__all__:
        if name != "__version__":
            names[_group(getattr(gliaflow, name))].append(name)
    parts = [introduction]
    for group in GROUPS:
        parts += [f"## {group}\n", *(_described(name, getattr(gliaflow, name)) for name in names[group])]
    return "\n".join([*parts, "## As DVC\n", _described("as_dvc.reproduce", as_dvc.reproduce)])


def _group(thing: Any) -> str:
    if not inspect.isclass(thing):
        return "Functions"
    if issubclass(thing, Exception):
        return "Errors"
    if getattr(thing, "_is_protocol", False):
        return "Doors"
    return "Events" if issubclass(thing, gliaflow.Event) else "Values"


def _described(name: str, thing: Any) -> str:
    node = _node(thing)
    parts = [f"### {name}\n"]
    if isinstance(node, ast.FunctionDef):
        parts.append(f"```python\n{_signature(node)}\n```\n")
    if bases := _bases(node):
        parts.append(f"Is a {bases}.\n")
    parts.append(_prose(ast.get_docstring(node) or ""))
    if isinstance(node, ast.ClassDef) and (members := [*_fields(node), *_methods(node)]):
        parts += [f"- {one}" for one in members]
        parts.append("")
    return "\n".join(parts)


def _bases(node: Defined) -> str:
    """The public classes that a class extends."""
    names = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
    return ", ".join(f"[{name}](#{name.lower()})" for name in names if name in gliaflow.__all__)


def _node(thing: Any) -> Defined:
    """Where the code defines it; names that stand for a type are written out."""
    path = inspect.getsourcefile(thing)
    assert path
    module = ast.parse(Path(path).read_text())
    short = {
        one.targets[0].id: one.value
        for one in module.body
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and isinstance(one.value, ast.Subscript)
    }
    for node in module.body:
        if isinstance(node, Defined) and node.name == thing.__name__:
            found = _Long(short).visit(node)
            assert isinstance(found, Defined)
            return found
    raise LookupError(thing)


class _Long(ast.NodeTransformer):
    """Replaces names by what they stand for."""

    def __init__(self, short: dict[str, ast.Subscript]) -> None:
        self._short = short

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._short.get(node.id, node)


def _signature(node: ast.FunctionDef) -> str:
    """As a person writes it: on one line, or with a line for each parameter."""
    parameters, returns = list(_parameters(node.args)), f" -> {_type(node.returns)}" if node.returns else ""
    line = f"{node.name}({', '.join(parameters)}){returns}"
    if len(line) <= ROOMY:
        return line
    return "\n".join([f"{node.name}(", *(f"    {one}," for one in parameters), f"){returns}"])


def _parameters(given: ast.arguments) -> Iterator[str]:
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    for one, default in zip(positional, defaults, strict=True):
        if one.arg != "self":
            yield _parameter(one, default)
    if given.kwonlyargs:
        yield "*"
    for one, value in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _parameter(one, value)
    if given.kwarg:
        yield f"**{_parameter(given.kwarg, None)}"


def _parameter(one: ast.arg, default: ast.expr | None) -> str:
    typed = f": {_type(one.annotation)}" if one.annotation else ""
    return f"{one.arg}{typed}" + (f" = {_type(default)}" if default else "")


def _type(node: ast.expr) -> str:
    """The source of a type or a default, types in quotes without them."""
    quoted = (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"\w+\[.*\]|[A-Z]\w+", node.value)
    )
    return str(node.value) if isinstance(node, ast.Constant) and quoted else ast.unparse(node).replace("'", '"')


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """The fields of a class, each with the text below it."""
    for one, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and not one.target.id.startswith("_"):
            default = f" = {_type(one.value)}" if isinstance(one.value, ast.Constant) else ""
            yield f"`{one.target.id}: {_type(one.annotation)}{default}`{_below(following)}"
        elif isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
            yield f"`{one.targets[0].id}`: `{ast.unparse(one.value)}`{_below(following)}"


def _below(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return f": {_joined(node.value.value)}"
    return ""


def _methods(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
            shown = f"{one.name}: {_type(one.returns)}" if _is_property(one) and one.returns else _signature(one)
            first, *rest = _prose(ast.get_docstring(one) or "").split("\n\n")
            yield "\n\n".join(
                [f"`{_joined(shown)}`: {_joined(first)}", *(indent(part.rstrip(), "    ") for part in rest if part)]
            )


def _is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id in ("property", "cached_property") for one in node.decorator_list)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _prose(docstring: str) -> str:
    """A docstring as Markdown: its sections become lists."""
    before, *rest = SECTION.split(docstring)
    parts = [before.strip() + "\n"] if before.strip() else []
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        items = [f"- `{name}`: {_joined(text)}" for name, text in ITEM.findall(body)]
        shown = "\n".join(items) if items and title != "Returns" else inspect.cleandoc(body)
        parts.append(f"**{title}**\n\n{shown}\n")
    return "\n".join(parts)
