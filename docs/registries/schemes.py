"""The gallery of schemes: formula, source, each framework's own name, and the signal through 50 layers."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import keras
import torch
from computed import figure
from typeset import formula, source

import initlab
from initlab.core.calls import format_call
from initlab.core.errors import InitlabError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Constant, Identity, Law
from initlab.report.drawing.palette import line_style
from initlab.report.drawing.theme import SCHEMA, picture_config
from initlab.schemes import SCHEMES, Scheme, scheme
from initlab.theory import ChainLayer, chain_signals
from registries.markdown import MADE, page, table

DEPTH, WIDTH = 50, 256
SHOWN = ("relu", "tanh")
HOMES: dict[Dialect, tuple[str, str, object]] = {
    "torch": ("PyTorch", "torch.nn.init", torch.nn.init),
    "keras": ("Keras", "keras.initializers", keras.initializers),
    "jax": ("JAX", "jax.nn.initializers", jax.nn.initializers),
}
# A dense weight by which a framework's own form of a scheme is told from initlab's.
SAMPLE = ParamSpec(path="0/weight", shape=(64, 200), role="dense", f_in="relu", f_out="relu")
LOWEST, HIGHEST = 1e-4, 1e4


def gallery() -> str:
    """Every scheme, family by family."""
    parts = []
    for family in dict.fromkeys(SCHEMES[name].family for name in SCHEMES):
        parts.append(f"## {family.capitalize()}\n")
        parts += [entry(SCHEMES[name]) for name in SCHEMES if SCHEMES[name].family == family]
    said = (
        f"{MADE}; `initlab show NAME` prints one. The pictures show E[z²] before the activation of each of {DEPTH}"
        f" layers of width {WIDTH}, as the variance map has it for weights in the mean over draws, with every input of"
        " E[x²] = 1: a flat line is a signal that arrives. What leaves the frame dies out or explodes. Where a"
        " framework's own form draws another law than initlab's, both are told for a dense weight of"
        f" {SAMPLE.shape[1]} inputs and {SAMPLE.shape[0]} outputs."
    )
    return page("Schemes", said, *parts)


def entry(item: Scheme) -> str:
    """One scheme: what it is, and its picture."""
    call = format_call(item.name, {option: p.default for option, p in item.options.items()})
    rows = [
        ["formula", f'<span class="formula">{formula(item.formula)}</span>'],
        ["call", f"`{call}`"],
        ["when", item.when],
        ["when not", item.avoid],
        ["source", source(item.source)],
        *(
            [title, native(item, dialect)]
            for title, dialect in (("PyTorch", "torch"), ("Keras", "keras"), ("JAX", "jax"))
        ),
        ["aliases", ", ".join(f"`{alias}`" for alias in item.aliases) or "none"],
    ]
    text = f"### {item.name}\n\n{table(['what', item.summary], rows)}"
    if not has_picture(item.name):
        told = "No picture: the variance map is that of random weights of mean zero and known size in a dense layer."
        return f"{text}\n{told}\n"
    alt = f"E[z²] through {DEPTH} layers of ReLU and of tanh under {item.name}"
    return f"{text}\n![{alt}](../images/guide/{picture_name(item.name)}.svg)\n"


def native(item: Scheme, dialect: Dialect) -> str:
    """What a framework calls a scheme, and where its law for one dense weight is another than initlab's."""
    _, place, home = HOMES[dialect]
    names = [name for name in (item.name, *item.aliases) if callable(getattr(home, name, None))]
    # torch's name in place of the deprecated one without an underscore, Keras' class in place of its function.
    names.sort(key=lambda name: (name.endswith("_"), name[0].isupper()))
    named = f"`{place}.{names[-1]}`" if names else "no name of its own"
    own, theirs = law(item.name, None), law(item.name, dialect)
    if theirs == own or theirs is None:
        return named
    return f'{named}; `dialect="{dialect}"`: {formula(str(theirs))} in place of {formula(str(own))}'


def law(name: str, dialect: Dialect | None) -> Law | None:
    """The law for the sample weight; None where the scheme does not take it."""
    try:
        return scheme(name, dialect=dialect)(SAMPLE)
    except InitlabError:
        return None


@cache
def signal(name: str, activation: str) -> tuple[float, ...] | None:
    """E[z^2] of each hidden layer, up to where it is lost; None where the variance map is not for these weights."""
    model = Mlp((WIDTH,) * (DEPTH + 1) + (10,), activation=activation)
    plan = initlab.plan(model, name)
    layers = []
    for number in range(DEPTH):
        weight, bias = plan[f"{number}/weight"], plan[f"{number}/bias"]
        if weight.std is None or isinstance(weight.law, Constant | Identity):
            return None
        f_in = activation if number else None
        layers.append(ChainLayer(f_in, WIDTH * weight.std**2, (bias.std or 0.0) ** 2))
    # Of one input with itself: no time goes into correlations.
    return tuple(layer.q for layer in chain_signals(layers, correlation=1.0))


def has_picture(name: str) -> bool:
    """Whether the variance map says something of a scheme."""
    return signal(name, SHOWN[0]) is not None


def picture_name(name: str) -> str:
    """The file of a scheme's picture, without its ending."""
    return f"scheme-{name.replace('_', '-')}"


def picture(name: str) -> dict[str, Any]:
    """The Vega-Lite specification of a scheme's picture: one frame for all schemes, so that they compare."""
    values = [
        {"f": f, "layer": at + 1, "q": q}
        for f in SHOWN
        for at, q in enumerate(signal(name, f) or ())
        if LOWEST / 100 < q < 100 * HIGHEST
    ]
    styles = [line_style(at) for at in range(len(SHOWN))]
    colour = {"domain": list(SHOWN), "range": [style.colour for style in styles]}
    dash = {"domain": list(SHOWN), "range": [[1, 0], [6, 3]]}
    legend = {"title": None, "orient": "right", "symbolType": "stroke"}
    decades = [10.0**k for k in range(-4, 5, 2)]
    return {
        "$schema": SCHEMA,
        "width": 300,
        "height": 110,
        "padding": 6,
        "data": {"values": values},
        "mark": {"type": "line", "clip": True, "strokeWidth": 2},
        "encoding": {
            "x": {"field": "layer", "type": "quantitative", "title": "layer", "scale": {"domain": [1, DEPTH]}},
            "y": {
                "field": "q",
                "type": "quantitative",
                "title": "E[z²]",
                "scale": {"type": "log", "domain": [LOWEST, HIGHEST], "nice": False},
                "axis": {"values": decades, "format": "~g"},
            },
            "color": {"field": "f", "type": "nominal", "scale": colour, "legend": legend},
            "strokeDash": {"field": "f", "type": "nominal", "scale": dash, "legend": legend},
        },
        "config": picture_config(),
    }


PAGES = {"schemes.md": gallery}
for _name in SCHEMES:
    if has_picture(_name):
        figure(picture_name(_name))(partial(picture, _name))
