"""Inputs that are made up for a model where nobody gave one: of the shape that its first weights take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Normal

ROWS, FEWEST = 64, 4
ENTRIES = 1 << 20
"""Entries of an input, about: of large samples there are fewer."""

STEPS = 16
"""Places of a sequence whose length the model leaves open."""

SIDES = (32, 28, 224, 64, 96, 128, 256, 299, 8)
"""Sides of the pictures that are tried: CIFAR's, MNIST's, ImageNet's, powers of two, digits'."""

MOST_KINDS = 3
"""Inputs up to which every choice between real and whole numbers is tried."""

Shape: TypeAlias = tuple[int | None, ...]


@dataclass(frozen=True)
class Asked:
    """One input that a model names itself, or whose shape a user gave.

    Attributes:
        shape: Of a sample, without the axis of samples; None where a size is open.
        is_whole: Whether it takes whole numbers; None where that is for the first layer to say.
        name: Under which the model takes it; empty where it goes by its place.
    """

    shape: Shape
    is_whole: bool | None = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class MadeUp:
    """An input that was made up.

    Attributes:
        batch: As a probe takes it: an array, a tuple of them, or arrays by name.
        words: What it is.
    """

    batch: object
    words: str


def made_up(params: Sequence[ParamSpec], asked: Sequence[Asked] = (), *, channels_last: bool) -> Iterator[MadeUp]:
    """Inputs that a model may take, the likeliest first; none where its first weights do not tell.

    Real numbers are standard normal, whole ones below the rows of the model's tables; they are always the same.

    Args:
        params: The model's, in order of use.
        asked: What is known of its inputs; left out, there is one, and the first weights tell its shape.
        channels_last: Whether channels are an image's last axis.

    Example:
        >>> next(made_up([ParamSpec("0/weight", (30, 12))], channels_last=True)).words
        '64 inputs of shape (12,), standard normal'
        >>> next(made_up([ParamSpec("0/weight", (100, 8), "embedding")], channels_last=True)).words
        '64 inputs of shape (16,), whole numbers below 100'
    """
    first = first_weight(params)
    tables = [p.shape[0] for p in params if p.role == "embedding" and len(p.shape) == 2]
    tops = dict.fromkeys([*tables[:1], *([min(tables)] if tables else [])])
    forms = _filled(asked, first) if asked else [(shape,) for shape in _forms(params, first, channels_last)]
    for shapes in forms:
        for whole in _kinds(asked or [Asked(shapes[0])], first):
            for top in tops if any(whole) else (0,):
                yield _input(shapes, whole, top, [one.name for one in asked])


def first_weight(params: Sequence[ParamSpec]) -> ParamSpec | None:
    """The weight that takes the input, as far as the order of use tells."""
    return next((p for p in params if p.is_weight and p.layer_kind != "lora"), None)


def told(first: ParamSpec | None, *, channels_last: bool) -> tuple[str, str]:
    """What the first weights take, in words, and the shape of a sample as it is typed.

    Example:
        >>> told(ParamSpec("0/weight", (16, 3, 7, 7), "conv"), channels_last=False)
        ('the first layer takes images of 3 channels', '3,224,224')
    """
    if first is None:
        return "no layer says what it takes", "3,224,224"
    if first.role == "embedding":
        return f"the first layer takes whole numbers below {first.shape[0]}", f"{STEPS}"
    if first.role in ("conv", "conv_transpose"):
        axes, channels = len(first.shape) - 2, _channels(first)
        sides = [{1: "1000", 2: "224"}.get(axes, "32")] * axes
        sample = [*sides, str(channels)] if channels_last else [str(channels), *sides]
        return f"the first layer takes {'images' if axes == 2 else 'signals'} of {channels} channels", ",".join(sample)
    return f"the first layer takes {prod(_features(first))} features", ",".join(map(str, _features(first)))


def _forms(params: Sequence[ParamSpec], first: ParamSpec | None, channels_last: bool) -> list[Shape]:
    """Shapes of a sample that the first weights may take, the likeliest first."""
    if first is None:
        return []
    if first.role == "embedding":
        return [(STEPS,)]
    if first.role in ("conv", "conv_transpose"):
        axes, channels = len(first.shape) - 2, _channels(first)
        sides = [(side,) * axes for side in SIDES]
        return [(*side, channels) if channels_last else (channels, *side) for side in sides]
    rows, steps = _features(first), (STEPS, *_features(first))
    # Layers of sequences take a table of rows for one sequence, so the sequence comes first where there are any.
    has_time = any(p.role == "recurrent" or p.layer_kind == "attention" or p.dynamics for p in params)
    return [steps, rows] if has_time else [rows, steps]


def _filled(asked: Sequence[Asked], first: ParamSpec | None) -> list[tuple[Shape, ...]]:
    """The shapes that are asked for, with sizes where they are open."""
    if all(n is not None for one in asked for n in one.shape):
        return [tuple(one.shape for one in asked)]
    sizes = SIDES if first is not None and first.role == "conv" and len(first.shape) == 4 else (STEPS, *SIDES)
    return [tuple(tuple(size if n is None else n for n in one.shape) for one in asked) for size in sizes]


def _kinds(asked: Sequence[Asked], first: ParamSpec | None) -> list[tuple[bool, ...]]:
    """For each input, whether its numbers are whole: first as the first layer has it, then all other ways."""
    is_table = first is not None and first.role == "embedding"
    known = [True if is_table and len(asked) == 1 else one.is_whole for one in asked]
    usual = tuple(is_table if one is None else one for one in known)
    if len(known) > MOST_KINDS or len(known) == 1:
        return [usual]
    ways = product(*([False, True] if one is None else [one] for one in known))
    return list(dict.fromkeys([usual, *ways]))


def _input(shapes: Sequence[Shape], whole: Sequence[bool], top: int, names: Sequence[str]) -> MadeUp:
    arrays, words = [], []
    sizes = [tuple(n or 1 for n in shape) for shape in shapes]
    rows = max(FEWEST, min(ROWS, ENTRIES // max(max(prod(size) for size in sizes), 1)))
    for i, (size, is_whole) in enumerate(zip(sizes, whole, strict=True)):
        arrays.append(_numbers((rows, *size), f"input {i}", top if is_whole else 0))
        words.append(f"shape {size}, " + (f"whole numbers below {top}" if is_whole else "standard normal"))
    if any(names):
        return MadeUp(dict(zip(names, arrays, strict=True)), f"{rows} inputs of {'; '.join(words)}")
    return MadeUp(arrays[0] if len(arrays) == 1 else tuple(arrays), f"{rows} inputs of {'; '.join(words)}")


def _numbers(shape: tuple[int, ...], path: str, top: int) -> NDArray[np.generic]:
    source = stream(0, path, purpose="example")
    if top:
        return (source.uniforms(prod(shape)) * top).astype(np.int64).reshape(shape)
    return np.asarray(Normal(1.0).draw(shape, source), np.float32)


def _channels(p: ParamSpec) -> int:
    return p.shape[1] * p.groups


def _features(p: ParamSpec) -> tuple[int, ...]:
    return p.shape[1:] if p.axes is None else tuple(p.shape[i] for i in p.axes.inputs)
