"""What initlab wrote is remembered beside a model, as long as the value and the model are there."""

from __future__ import annotations

import gc

import numpy as np

from initlab.frameworks.reading import marks


class Model:
    """Anything that can be referred to weakly."""


def test_a_later_mark_takes_the_place_of_an_earlier_one() -> None:
    model = Model()
    marks.mark(model, {"a": 1, "b": 1}, seed=3)
    marks.mark(model, {"b": 2}, seed=4)
    assert marks.marked(model, lambda names: dict.fromkeys(names, 1)) == {"a": 3}
    assert marks.marked(model, lambda names: dict.fromkeys(names, 2)) == {"b": 4}


def test_only_what_was_marked_is_asked_for() -> None:
    model, asked = Model(), []
    marks.mark(model, {"a": 1}, seed=3)
    marks.marked(model, lambda names: asked.extend(names) or {})
    assert asked == ["a"]
    marks.marked(Model(), lambda names: asked.extend(names) or {})
    assert asked == ["a"]


def test_the_memory_ends_with_the_model() -> None:
    model = Model()
    marks.mark(model, {"a": 1}, seed=3)
    key = id(model)
    assert key in marks._MARKS
    del model
    gc.collect()
    assert key not in marks._MARKS


def test_a_digest_tells_nearly_every_entry_of_large_values() -> None:
    values = np.random.default_rng(3).normal(size=(70, 130))
    assert marks.digest(values) == marks.digest(values.copy())
    assert marks.digest(values) != marks.digest(values * 1.001)
    assert marks.digest(values[:3]) != marks.digest(values[:2])
