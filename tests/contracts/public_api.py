"""The public interface as text, a signature a line; started as a script it writes the snapshot that a test holds."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from typer.main import get_command

SNAPSHOT = Path(__file__).with_suffix(".txt")
HEAD = "# The public interface. A change of it that is meant: ./dev api, and a line in CHANGELOG.md.\n"
# What public functions return without their class being in a namespace of its own.
RETURNED = (
    "initlab.api.sweeping.Swept",
    "initlab.auditing.locking.Lock",
    "initlab.core.plans.plan.Plan",
    "initlab.core.training.dataset.Dataset",
    "initlab.probing.diagnosis.Diagnosis",
    "initlab.probing.profile.Profile",
    "initlab.probing.records.Finding",
    "initlab.probing.records.LayerStat",
    "initlab.schemes.base.BoundScheme",
)


def interface() -> str:
    """Every public name with its signature, every method and field of the public classes, every command's options."""
    return HEAD + "\n".join([*module_lines("initlab"), *returned_lines(), *command_lines()]) + "\n"


def module_lines(name: str) -> Iterator[str]:
    """The names in a module's ``__all__``, and those of the modules among them."""
    module = import_module(name)
    for public in sorted(module.__all__):
        thing = getattr(module, public)
        if isinstance(thing, ModuleType) and hasattr(thing, "__all__"):
            yield from module_lines(thing.__name__)
        else:
            yield from thing_lines(f"{name}.{public}", thing)


def returned_lines() -> Iterator[str]:
    """The classes that public functions return."""
    for place in RETURNED:
        module, _, name = place.rpartition(".")
        yield from thing_lines(name, getattr(import_module(module), name))


def thing_lines(name: str, thing: object) -> Iterator[str]:
    """One name: a function's signature, a class with its fields and methods, or the kind of a constant."""
    if inspect.isclass(thing):
        bases = ", ".join(base.__name__ for base in thing.__bases__ if base is not object)
        yield f"class {name}({bases}){signature(thing)}" if bases else f"class {name}{signature(thing)}"
        yield from member_lines(name, thing)
    elif callable(thing):
        yield f"{name}{signature(thing)}"
    else:
        yield f"{name}: {type(thing).__name__}"


def member_lines(name: str, kind: type) -> Iterator[str]:
    """The public fields, properties and methods of a class, its bases' included, by name."""
    fields = {field.name: field.type for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}
    members = {
        member: value
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("initlab")
        for member, value in vars(base).items()
    }
    for member in sorted({*fields, *members}):
        value = members.get(member)
        if member.startswith("_"):
            continue
        if member in fields:
            yield f"  {name}.{member}: {fields[member]}"
        elif isinstance(value, property):
            yield f"  {name}.{member} -> {inspect.signature(value.fget).return_annotation}"
        elif isinstance(value, classmethod | staticmethod):
            yield f"  {name}.{member}{signature(value.__func__)}"
        elif callable(value):
            yield f"  {name}.{member}{signature(value)}"


def signature(thing: object) -> str:
    """A signature on one line, with a default object named by its type where its text would hold an address."""
    text = str(inspect.signature(thing))
    return re.sub(r"<([\w.]+)[^<>]* at 0x[0-9a-f]+>", r"<\1>", text)


def command_lines() -> Iterator[str]:
    """The commands and those inside of them, each with its arguments and options."""
    from initlab.cli.main import app

    yield from command_tree("initlab", get_command(app))


def command_tree(words: str, command: object) -> Iterator[str]:
    """A command with its options, then the commands inside of it."""
    inner = getattr(command, "commands", {})
    yield f"$ {words}"
    for option in sorted(command.params, key=lambda option: option.opts):
        names = ", ".join([*option.opts, *option.secondary_opts])
        marks = {"required": option.required, "flag": getattr(option, "is_flag", False), "many": is_many(option)}
        yield " ".join(["  " + names, *(word for word, said in marks.items() if said)])
    for name in sorted(inner):
        yield from command_tree(f"{words} {name}", inner[name])


def is_many(option: object) -> bool:
    """Whether an argument or option can be given more than once."""
    return bool(option.nargs == -1 or getattr(option, "multiple", False))


if __name__ == "__main__":
    SNAPSHOT.write_text(interface(), encoding="utf-8")
    print(f"{SNAPSHOT}: {len(SNAPSHOT.read_text(encoding='utf-8').splitlines())} lines")
