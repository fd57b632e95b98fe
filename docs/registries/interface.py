"""The public names with their signatures, and the commands with their help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from unittest import mock

import typer
from typer.testing import CliRunner

import initlab
from initlab import theory
from initlab.cli.main import app
from initlab.core.errors import InitlabError
from registries.markdown import MADE, first_line, page, table

WIDTH = 80
# Longer signatures are cut by a page's column, or scrolled.
LINE = 64
SUBJECTS = (
    ("Initialise", ("plan", "initialize", "reset", "BoundPlan", "scheme", "draw")),
    ("Look into a model", ("probe", "audit", "lock", "Audit")),
    ("Compare", ("compare", "Comparison", "load_task", "from_arrays")),
    ("Run a claim", ("paper", "PaperResult")),
    (
        "Add your own",
        (
            "register_scheme",
            "register_activation",
            "register_task",
            "register_layer",
            "register_check",
            "register_tracker",
            "register_framework",
        ),
    ),
    ("What these are given", ("LayerParam", "Case", "Limits", "Finding", "TrackedRun", "Framework")),
    ("Describe", ("ParamSpec", "ModelSpec", "Branch", "Axes", "Mlp", "ConvNet")),
)
FORMS = ("torch", "keras", "jax")


def api() -> str:
    """Every public name, by subject; what no subject names is under the last heading."""
    told = {name for _, names in SUBJECTS for name in names} | {"theory", "__version__"}
    subjects = [*SUBJECTS, ("Beside", tuple(name for name in initlab.__all__ if name not in told))]
    said = f"{MADE}: every name of `initlab.__all__`, its signature, and what is true of the result."
    return page(
        "Python",
        said,
        *(f"## {subject}\n\n" + "\n".join(map(entry, names)) for subject, names in subjects if names),
        "## A framework's own form\n\n" + "\n".join(map(form, FORMS)),
        "## initlab.theory\n\n" + table(["name", "what it gives"], list(theory_rows())),
    )


def entry(name: str, thing: object = None, *, place: str = "initlab") -> str:
    """One name: signature, first line, and for a class what can be done with it."""
    thing = getattr(initlab, name) if thing is None else thing
    text = f"### {place}.{name}\n\n```python\n{name}{signature(thing)}\n```\n\n{first_line(thing)}\n"
    if not inspect.isclass(thing) or issubclass(thing, InitlabError):
        return text
    rows = [[f"`{attribute}`", said] for attribute, said in members(thing)]
    return f"{text}\n{table(['of it', 'what it gives'], rows)}" if rows else text


def members(kind: type) -> Iterator[tuple[str, str]]:
    """The public methods and properties of a class that say what they give."""
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if inspect.isfunction(member) and first_line(member):
            yield f"{name}{short(member)}", first_line(member)
        elif isinstance(member, property) and first_line(member):
            yield name, first_line(member)


def short(method: object) -> str:
    """The names of a method's arguments, without their types."""
    assert callable(method)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return f"({', '.join(p.name for p in parameters)})"


def signature(thing: object) -> str:
    """A signature as it is written, an argument a line where it is long."""
    assert callable(thing)
    found = inspect.signature(thing)
    given = "" if inspect.isclass(thing) else f" -> {annotation(found.return_annotation)}"
    arguments, kinds = [], [p.kind for p in found.parameters.values()]
    for at, p in enumerate(found.parameters.values()):
        if p.kind is p.KEYWORD_ONLY and p.KEYWORD_ONLY not in kinds[:at]:
            arguments.append("*")
        arguments.append(argument(p))
        if p.kind is p.POSITIONAL_ONLY and kinds[at + 1 : at + 2] != [p.kind]:
            arguments.append("/")
    line = f"({', '.join(arguments)}){given}"
    return line if len(line) <= LINE else "\n".join(["(", *(f"    {one}," for one in arguments), f"){given}"])


def argument(p: inspect.Parameter) -> str:
    """One argument with its type and default."""
    star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
    typed = "" if p.annotation is p.empty else f": {annotation(p.annotation)}"
    if p.default is p.empty:
        return f"{star}{p.name}{typed}"
    shown = f'"{p.default}"' if isinstance(p.default, str) else "..." if "<" in repr(p.default) else repr(p.default)
    return f"{p.name}{typed} = {shown}"


def annotation(found: object) -> str:
    """A type as it stands in the code."""
    return found if isinstance(found, str) else inspect.formatannotation(found)


def form(framework: str) -> str:
    """What a framework's own room offers."""
    room = import_module(f"initlab.{framework}")
    return "\n".join(entry(name, getattr(room, name), place=f"initlab.{framework}") for name in room.__all__)


def theory_rows() -> Iterator[list[str]]:
    """The functions and records of the theory."""
    for name in theory.__all__:
        thing = getattr(theory, name)
        if (inspect.isfunction(thing) or inspect.isclass(thing)) and first_line(thing):
            arguments = ", ".join(inspect.signature(thing).parameters) if inspect.isfunction(thing) else ""
            yield [f"`{name}({arguments})`" if inspect.isfunction(thing) else f"`{name}`", first_line(thing)]


def cli() -> str:
    """Every command's help, as it prints it."""
    codes = (inspect.getdoc(import_module("initlab.cli.main").main) or "").split("\n\n", 1)[1]
    said = f"{MADE}: what `--help` prints at {WIDTH} columns. Exit codes: {' '.join(codes.split())}"
    parts = [f"## {' '.join(words)}\n\n```text\n{help_text(words[1:])}\n```\n" for words in commands()]
    return page("Command line", said, *parts)


def commands() -> Iterator[list[str]]:
    """The words of every command, a group before its members."""
    yield ["initlab"]
    root = typer.main.get_command(app)
    for name, command in sorted(getattr(root, "commands", {}).items()):
        yield ["initlab", name]
        for inner in sorted(getattr(command, "commands", {})):
            yield ["initlab", name, inner]


def help_text(words: list[str]) -> str:
    """What a command's ``--help`` prints."""
    environment = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERMINAL_WIDTH": str(WIDTH)}
    with mock.patch.dict("os.environ", environment):
        shown = CliRunner().invoke(app, [*words, "--help"], prog_name="initlab", terminal_width=WIDTH)
    assert shown.exit_code == 0, shown.output
    return "\n".join(line.rstrip() for line in shown.output.strip().splitlines())


PAGES = {"api.md": api, "cli.md": cli}
