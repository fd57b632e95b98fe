"""Options of a plan and lengths of data that cannot be are one line that names them as the user did."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from copy import copy
from math import inf, nan

import numpy as np
import pytest

import initlab
from initlab.cli.output import numbers
from initlab.cli.probe_data import parsed_limits
from initlab.core.calls import parse_call
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Normal
from initlab.schemes import SCHEMES, register_scheme, scheme
from initlab.schemes.fixed import normal, truncated_normal
from initlab.tasks.arrays import from_arrays, from_split


@pytest.mark.parametrize("reinit", ["no", 1, None])
def test_reinit_is_true_or_false(reinit: object) -> None:
    with pytest.raises(OptionError, match=r"is neither True nor False \(reinit\)"):
        initlab.plan(initlab.Mlp((4, 3)), reinit=reinit)  # type: ignore[call-overload]


@pytest.mark.parametrize("std", [-1.0, inf, nan])
@pytest.mark.parametrize("law", [normal, truncated_normal])
def test_a_spread_that_cannot_be_is_called_std(law: Callable[..., object], std: float) -> None:
    with pytest.raises(OptionError, match=f"std must be .* got {std}"):
        law(ParamSpec(shape=(3, 4)), std=std)


def test_an_underscore_between_digits_is_read_in_the_same_way_wherever_a_number_is_typed() -> None:
    assert numbers("--learning-rates", "1_000,2_0.5") == [1000.0, 20.5]
    assert parse_call("normal(std=1_000)") == ("normal", {"std": 1000})
    assert parsed_limits("ratio=1_000").changed == {"ratio": 1000.0}
    assert tomllib.loads("epochs = 1_000") == {"epochs": 1000}
    with pytest.raises(OptionError, match="1__000"):
        numbers("--learning-rates", "1__000")
    with pytest.raises(OptionError, match="1__000"):
        parse_call("normal(std=1__000)")


def test_too_few_labels_are_told_by_their_number_before_their_classes() -> None:
    with pytest.raises(ShapeError, match="x has 6 rows and y has 2"):
        from_arrays(np.ones((6, 2)), [1, 1])
    with pytest.raises(ShapeError, match="x_test has 2 rows and y_test has 1"):
        from_split(np.ones((6, 2)), [0] * 6, np.ones((2, 2)), [0])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that takes a whole number, a real one and a Boolean, gone again after the test."""
    for held in ("_items", "_keys", "_spelled"):
        monkeypatch.setattr(SCHEMES, held, copy(getattr(SCHEMES, held)))

    @register_scheme(name="counted")
    def counted(p: ParamSpec, *, times: int = 1, scale: float = 0.5, is_half: bool = False) -> Normal:
        """Normal with an option of each kind."""
        return Normal(times * scale * (0.5 if is_half else 1.0))


@pytest.mark.parametrize(("call", "std"), [("times=3", 1.5), ("scale=2", 2.0), ("is_half=True", 0.25)])
@pytest.mark.usefixtures("counted")
def test_an_option_takes_a_value_of_its_kind(call: str, std: float) -> None:
    assert scheme(f"counted({call})")(ParamSpec(shape=(3, 5))).std((3, 5)) == std


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("times=1.5", "a whole number"),
        ("times=True", "a whole number"),
        ("scale=True", "a number"),
        ("is_half=1", "bool"),
    ],
)
@pytest.mark.usefixtures("counted")
def test_an_option_takes_no_value_of_another_kind(call: str, wanted: str) -> None:
    with pytest.raises(OptionError, match=f"is not allowed .counted.: give {wanted}"):
        scheme(f"counted({call})")
