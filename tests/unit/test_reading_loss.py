"""What a probe follows backwards is decided before any number is computed, of any framework's arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from initlab.core.errors import OptionError, ShapeError
from initlab.frameworks.reading.loss import check_scalar, goal_of, main_output, own_losses, standard_error


class Plain:
    """Arrays of NumPy."""

    def is_array(self, value: object) -> bool:
        return isinstance(value, np.ndarray)

    def is_real(self, array: Any) -> bool:
        return bool(array.dtype.kind == "f")


ARRAYS = Plain()
OUTPUT = np.zeros((5, 3))
SEQUENCE = np.zeros((5, 3, 4))


class Answer:
    """What a model may return: an object of its own."""

    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


@pytest.mark.parametrize(
    "result",
    [
        OUTPUT,
        {"mask": np.zeros(5, int), "hidden": OUTPUT},
        {"hidden": SEQUENCE, "logits": OUTPUT},
        (np.zeros(5, int), [np.array(1.0), OUTPUT]),
        Answer(hidden=SEQUENCE, logits=OUTPUT),
    ],
)
def test_the_main_output_is_the_logits_or_the_first_with_samples(result: Any) -> None:
    assert main_output(result, ARRAYS) is OUTPUT


def test_a_result_without_real_numbers_has_no_main_output() -> None:
    assert main_output({"ids": np.zeros(5, int)}, ARRAYS) is None
    with pytest.raises(OptionError, match="the model returns dict, without real numbers: give loss="):
        goal_of({"ids": np.zeros(5, int)}, None, None, ARRAYS)


def test_the_callers_loss_comes_before_the_models_own_and_that_before_the_output() -> None:
    result = {"loss": np.array(2.5), "logits": OUTPUT}
    assert own_losses(result, ARRAYS) == [2.5]
    own = goal_of(result, None, None, ARRAYS)
    assert (own.kind, own.scalar is not None and own.scalar(result)) == ("given", 2.5)
    given = goal_of(result, None, lambda made: made["logits"].sum() + 7.0, ARRAYS)
    assert (given.kind, given.scalar is not None and given.scalar(result)) == ("given", 7.0)
    assert goal_of(result, np.arange(5) % 3, None, ARRAYS).kind == "cross_entropy"
    assert goal_of({"logits": OUTPUT}, None, None, ARRAYS).kind == "random"


def test_random_numbers_are_the_same_for_a_shape_and_standard_normal() -> None:
    wide = np.zeros((200, 30))
    one, other = (goal_of(wide, None, None, ARRAYS).against for _ in range(2))
    assert one is not None
    np.testing.assert_array_equal(one, other)
    assert float(np.mean(one**2)) == pytest.approx(1.0, abs=5 * math.sqrt(2 / one.size))


def test_a_squared_error_knows_the_size_of_its_targets() -> None:
    goal = goal_of(OUTPUT, np.full(15, -2.0).reshape(5, 3, 1), None, ARRAYS)
    assert (goal.kind, goal.target_square) == ("mse", 4.0)
    assert goal.against is not None
    assert goal.against.shape == (5, 3)
    with pytest.raises(ShapeError, match="give as many numbers as the output"):
        goal_of(OUTPUT, np.ones((3, 5)), None, ARRAYS)


@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 3), -1), ((5, 4), 1), ((5, 3, 1), -1)], ids=["last", "second", "last, one"]
)
def test_classes_stand_on_the_axis_that_the_targets_leave_out(shape: tuple[int, ...], axis: int) -> None:
    assert goal_of(SEQUENCE, np.zeros(shape, np.int32), None, ARRAYS).classes_axis == axis


@pytest.mark.parametrize("wrong", [-1, 3, -100])
def test_a_target_that_is_no_class_is_refused(wrong: int) -> None:
    targets = np.array([0, 1, wrong, 2, 1])
    with pytest.raises(ShapeError, match=rf"a target is {wrong}, and there are 3 classes .*from 0 and below 3"):
        goal_of(OUTPUT, targets, None, ARRAYS)


def test_an_ignored_target_is_counted_and_others_are_still_refused() -> None:
    goal = goal_of(OUTPUT, np.array([0, -100, 2, -100, 1]), None, ARRAYS, ignored=-100)
    assert goal.notes == ("2 of 5 targets are -100 and are left out of the loss",)
    assert goal_of(OUTPUT, np.array([0, 1, 2, 0, 1]), None, ARRAYS, ignored=-100).notes == ()
    with pytest.raises(ShapeError, match="a target is -1"):
        goal_of(OUTPUT, np.array([0, -100, 2, -1, 1]), None, ARRAYS, ignored=-100)


@pytest.mark.parametrize("targets", [np.arange(4), np.zeros((5, 2), int), np.zeros((3, 5), int)])
def test_classes_that_fit_no_axis_are_refused(targets: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ShapeError, match="give one class a sample, or a token"):
        goal_of(OUTPUT, targets, None, ARRAYS)


def test_words_are_no_targets() -> None:
    with pytest.raises(OptionError, match="give numbers"):
        goal_of(OUTPUT, np.array(["a"] * 5), None, ARRAYS)


@pytest.mark.parametrize(("value", "said"), [(OUTPUT, r"of shape \(5, 3\)"), ("low", "a str"), (1.0, "a float")])
def test_a_loss_is_one_number_in_an_array(value: Any, said: str) -> None:
    with pytest.raises(OptionError, match=f"the loss is no scalar, it is {said}.*return its mean"):
        check_scalar(value, ARRAYS)
    check_scalar(np.array([2.0]), ARRAYS)


def test_the_error_of_a_mean_is_that_of_its_samples() -> None:
    """std of (1, 2, 6) is sqrt(7), over sqrt(3)."""
    assert standard_error(np.array([1.0, 2.0, 6.0])) == pytest.approx(math.sqrt(7 / 3))
    assert math.isnan(standard_error(np.array([3.0])))
    assert math.isnan(standard_error(None))
