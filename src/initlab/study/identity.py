"""What decides a run's result beside its question: the user's code in it, and what it runs on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from initlab.core.calls import parse_call
from initlab.core.facts.user_model import OwnModel
from initlab.core.identity.files import digests_of_files, files_read
from initlab.core.identity.places import file_of, owner_of
from initlab.core.identity.texts import digest_of_text
from initlab.core.identity.walk import MODEL, NO_CODE, Code, code_of
from initlab.frameworks import FRAMEWORKS
from initlab.schemes.base import SCHEMES
from initlab.study.environment import PACKAGES
from initlab.study.records import RunRecord, RunSpec
from initlab.theory.activations import ACTIVATIONS, registered_function

_FIRST_NUMERICS = "1"
_MACHINE = ("cpu", "platform")


def build_code(build: object) -> Code:
    """The code of what builds an own model, as it is before the first call."""
    return code_of(build, known=_known())


@dataclass
class BuildCode:
    """The code of a factory, read before its first call, and the files that its calls read.

    Attributes:
        build: The factory.
        read: Its code.
        files: What its calls opened.
    """

    build: Callable[[], object]
    read: Code = field(init=False)
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.read = build_code(self.build)

    def __call__(self) -> object:
        """What the factory makes; the files that it opens are remembered."""
        with files_read() as found:
            made = self.build()
        self.files += found
        return made

    @property
    def code(self) -> Code:
        """The code and the files that lie below the working folder or beside the factory's module."""
        module = getattr(self.build, "__module__", None)
        file = file_of(module) if isinstance(module, str) and owner_of(module) == "user" else None
        folders = (Path.cwd().resolve(), *([file.resolve().parent] if file is not None else []))
        found = digests_of_files(self.files, folders)
        return self.read | Code({f"file {name}": digest for name, digest in found.items()})


def codes_of(specs: Sequence[RunSpec], *, build: Code | None = None) -> list[Code]:
    """Of each run the user's code in it: of model, activation and schemes; most runs have none.

    Args:
        specs: The runs of one study.
        build: The code of what builds an own model.
    """
    shared = build or NO_CODE
    arch = specs[0].arch
    if isinstance(arch, OwnModel):
        told = json.dumps(arch.to_dict(), sort_keys=True)
        shared |= Code({MODEL: digest_of_text(told)})
    else:
        shared |= activation_code(arch.activation)
    schemes = {name: _scheme_code(name) for spec in specs for name in (spec.scheme, spec.output_scheme) if name}
    return [shared | schemes[spec.scheme] | schemes.get(spec.output_scheme or "", NO_CODE) for spec in specs]


def is_ours(call: str) -> bool:
    """Whether a scheme comes with initlab, so that ``numerics`` tells what it draws.

    Example:
        >>> is_ours("normal(std=0.01)")
        True
    """
    return owner_of(SCHEMES[parse_call(call)[0]].function.__module__) == "python"


def _scheme_code(call: str) -> Code:
    item = SCHEMES[parse_call(call)[0]]
    if is_ours(call):
        return NO_CODE
    rules = (dict(item.dialect_defaults), item.with_biases, item.takes_packed)
    return _named(code_of(item.function, rules, known=_known()), f"scheme {item.name}")


def activation_code(call: str) -> Code:
    """The code of an activation; none of initlab's own."""
    function, found = registered_function(call), ACTIVATIONS[parse_call(call)[0]]
    if owner_of(function.__module__) == "python":
        return NO_CODE
    return _named(code_of(function, dict(found.native), known=_known()), f"activation {found.name}")


def _named(code: Code, name: str) -> Code:
    """The code with its roots' values under the name of what they belong to."""
    return Code({part.replace("the factory", name): digest for part, digest in code.parts.items()}, code.unseen)


@cache
def _known() -> frozenset[str]:
    """Packages whose versions are in ``env``."""
    return frozenset({*PACKAGES, *(package for name in FRAMEWORKS for package in FRAMEWORKS[name].packages)})


@dataclass(frozen=True)
class Change:
    """How a stored record differs from what would be made.

    Attributes:
        refused: What makes it another result, in words; empty where nothing does.
        told: What may round otherwise, in words; empty where nothing does.
    """

    refused: str = ""
    told: str = ""


def change_of(record: RunRecord, code: Code, env: Mapping[str, str]) -> Change:
    """What changed since a record was made; the first of it that decides results.

    Args:
        record: A record of the same question.
        code: The user's code as it is.
        env: ``environment`` as it is.
    """
    if not record.code.parts and code.parts:
        return Change("its code was not recorded")
    differs = code.difference(record.code)
    if differs:
        return Change(differs)
    made = record.env
    if made.get("numerics", _FIRST_NUMERICS) != env["numerics"]:
        return Change(f"initlab's numerics are version {env['numerics']}, not {made.get('numerics', _FIRST_NUMERICS)}")
    framework = FRAMEWORKS[record.spec.framework]
    named = {} if framework.settings is None else framework.settings(True)
    settings = named.keys() & made.keys() & env.keys()
    decisive = {*framework.packages[:1], *(env[key] for key in settings)}
    versions = (key for key in (*PACKAGES, *framework.packages, "python", *_MACHINE) if key in made and key in env)
    others = [key for key in (*sorted(settings), *versions) if made[key] != env[key]]
    for key in others:
        if key in settings or (key in decisive and _release(made[key]) != _release(env[key])):
            return Change(f"{key} is {env[key]}, not {made[key]}")
    return Change(told=", ".join(f"{key} is {env[key]}, not {made[key]}" for key in others))


def _release(version: str) -> tuple[str, ...]:
    """A version without its patch.

    Example:
        >>> _release("2.13.1+cpu"), _release("0.7.0")
        (('2', '13'), ('0', '7'))
    """
    return tuple(version.partition("+")[0].split(".")[:2])
