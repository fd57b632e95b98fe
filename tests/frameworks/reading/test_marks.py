"""What initlab wrote is remembered beside a model, as long as the value and the model are there."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from initlab.frameworks.reading import marks


class Model:
    """Anything that can be referred to weakly."""


def test_a_later_mark_takes_the_place_of_an_earlier_one() -> None:
    model = Model()
    marks.mark(model, {"a": b"1", "b": b"1"}, seed=3)
    marks.mark(model, {"b": b"2"}, seed=4)
    assert marks.marked(model, lambda names: dict.fromkeys(names, b"1")) == {"a": 3}
    assert marks.marked(model, lambda names: dict.fromkeys(names, b"2")) == {"b": 4}


def test_only_what_was_marked_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_COPIED", {})
    model, asked = Model(), []
    assert not marks.marked(model, lambda names: asked.extend(names) or {})
    marks.mark(model, {"a": b"1"}, seed=3)
    marks.marked(model, lambda names: asked.extend(names) or {})
    assert asked == ["a"]


def test_the_memory_ends_with_the_model() -> None:
    model = Model()
    marks.mark(model, {"a": b"1"}, seed=3)
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


def drawn(seed: int, *, head: float = 0.0) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=(7, 5)) for name in ("a", "b", "c")}
    return {name: marks.digest(one) for name, one in {**values, "head": np.full(3, head)}.items()}


def told(stamps: dict[str, bytes]) -> set[str]:
    return set(marks.marked(Model(), lambda names: {name: stamps[name] for name in names if name in stamps}))


def test_a_copy_is_known_by_the_random_numbers_in_it_and_a_fresh_model_is_none() -> None:
    marks.mark(Model(), drawn(11), seed=3)
    assert told(drawn(11)) == {"a", "b", "c", "head"}
    assert told(drawn(12)) == set()  # its zero head is its author's
    assert told(drawn(11, head=-2.0)) == {"a", "b", "c"}  # a copy whose head was written anew


def test_what_most_of_a_model_went_through_was_training() -> None:
    model = Model()
    marks.mark(model, drawn(11), seed=3)
    later = drawn(12)  # a zero head that got no gradient is the same
    assert set(marks.marked(model, lambda names: later)) == {"a", "b", "c", "head"}
    assert set(marks.marked(model, lambda names: drawn(11, head=-2.0))) == {"a", "b", "c"}


def test_as_many_models_are_remembered_for_their_copies_as_are_in_use() -> None:
    for seed in range(100, 200):
        marks.mark(Model(), drawn(seed), seed=3)
    assert len(marks._COPIED) <= marks._COPIES
    assert told(drawn(199))
    assert not told(drawn(100))
