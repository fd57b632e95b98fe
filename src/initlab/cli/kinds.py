"""The kinds of things that have names: what ``list`` says of all of them, and ``show`` of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of named things.

    Attributes:
        noun: One of them, in a word.
        lines: A line about each, by name.
        find: The registered name behind a name or alias; None where it is none of this kind.
        facts: What is known of one, by heading.
    """

    noun: str
    lines: Callable[[], Mapping[str, str]]
    find: Callable[[str], str | None]
    facts: Callable[[str], Mapping[str, Any]]


def _kind(noun: str, registry: Callable[[], Any], facts: Callable[[Any], Mapping[str, Any]], line: str) -> Kind:
    """A kind whose things are in a registry; ``line`` is the fact that the list prints."""

    def lines() -> Mapping[str, str]:
        return {name: str(_of(name)[line] or _of(name)["what"]) for name in registry()}

    def find(name: str) -> str | None:
        return str(registry().canonical(name)) if name in registry() else None

    def _of(name: str) -> Mapping[str, Any]:
        return facts(registry()[name])

    return Kind(noun, lines, find, _of)


def _schemes() -> Any:
    from initlab.schemes import SCHEMES

    return SCHEMES


def _scheme(item: Any) -> Mapping[str, Any]:
    options = _defaults(item.options)
    return {
        "what": item.summary.replace("``", ""),
        "formula": item.formula,
        "call": _call(item.name, options),
        "family": item.family,
        "source": item.source,
        "when": item.when,
        "when not": item.avoid,
        "aliases": list(item.aliases),
        "options": options,
    }


def _tasks() -> Any:
    from initlab.tasks import TASKS

    return TASKS


def _task(item: Any) -> Mapping[str, Any]:
    from initlab.tasks.preprocess import WORDS

    return {
        "what": item.title,
        "line": f"{item.title}; {WORDS[item.preprocess]}",
        "preprocess": item.preprocess,
        "rows": item.rows,
        "features": item.features,
        "classes": item.classes,
        "source": item.source,
        "licence": item.license,
        "options": list(item.options),
    }


def _activations() -> Any:
    from initlab.theory import ACTIVATIONS

    return ACTIVATIONS


def _activation(item: Any) -> Mapping[str, Any]:
    return {
        "what": item.formula,
        "call": _call(item.name, item.options),
        "source": item.source,
        "kinks": list(item.kinks),
        "in the frameworks": {name: str(text) for name, text in item.native.items()},
        "aliases": list(item.aliases),
        "options": dict(item.options),
    }


def _recipes() -> Any:
    from initlab.recipes.book import RECIPES

    return RECIPES


def _recipe(item: Any) -> Mapping[str, Any]:
    options = _defaults(item.options)
    call = _call(item.name, options)
    return {"what": item.summary, "call": call, "source": item.source, "options": options}


def _checks() -> Any:
    from initlab.probing.checks.book import CHECKS

    return CHECKS


def _check(item: Any) -> Mapping[str, Any]:
    return {"what": item.summary, "stage": item.stage}


def _trackers() -> Any:
    from initlab.study.trackers import TRACKERS

    return TRACKERS


def _tracker(item: Any) -> Mapping[str, Any]:
    from initlab.core.registry import summary

    return {"what": summary(item)}


def _studies() -> Mapping[str, str]:
    from initlab.study.design import list_studies, load_study
    from initlab.study.sweep import list_sweeps, load_sweep

    studies = {name: load_study(name).title for name in list_studies()}
    return dict(sorted({**studies, **{name: load_sweep(name).title for name in list_sweeps()}}.items()))


def _study(name: str) -> Mapping[str, Any]:
    return {"what": _studies()[name], "command": f"initlab compare {name}"}


def _layers() -> Mapping[str, str]:
    from initlab.core.facts.layers import LAYERS
    from initlab.frameworks.reading.known_layers import known_layers

    return {**{name: LAYERS[name].summary for name in LAYERS}, **{m: ", ".join(n) for m, n in known_layers().items()}}


def _find_layer(name: str) -> str | None:
    from initlab.core.facts.layers import LAYERS

    return LAYERS.canonical(name) if name in LAYERS else name if name in _layers() else None


def _layer(name: str) -> Mapping[str, Any]:
    from initlab.core.facts.layers import LAYERS

    if name not in LAYERS:
        return {"what": f"layers that are known by their type: {_layers()[name]}"}
    item = LAYERS[name]
    rules = {"second moment": item.second_moment, "gradient": item.gradient}
    return {
        "what": item.summary,
        "classes": [kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}" for kind in item.kinds],
        "signal": item.signal or "its operations are followed",
        "rules": [word for word, rule in rules.items() if rule is not None],
    }


KINDS: dict[str, Kind] = {
    "schemes": _kind("scheme", _schemes, _scheme, "formula"),
    "studies": Kind("study", _studies, lambda name: name if name in _studies() else None, _study),
    "tasks": _kind("data set", _tasks, _task, "line"),
    "activations": _kind("activation", _activations, _activation, "what"),
    "layers": Kind("layer", _layers, _find_layer, _layer),
    "recipes": _kind("recipe", _recipes, _recipe, "what"),
    "checks": _kind("check", _checks, _check, "what"),
    "trackers": _kind("tracker", _trackers, _tracker, "what"),
}
"""By the word behind ``initlab list``; of one name in several kinds, ``initlab show`` shows the first."""


def names(kinds: Iterable[str] = ()) -> list[str]:
    """The names of these kinds, or of all of them, as they are typed: one word each."""
    return [name.replace(" ", "-") for kind in kinds or KINDS for name in KINDS[kind].lines()]


def _defaults(options: Mapping[str, Parameter]) -> dict[str, Any]:
    return {option: parameter.default for option, parameter in options.items()}


def _call(name: str, options: Mapping[str, Any]) -> str:
    from initlab.core.calls import format_call

    return format_call(name, options)
