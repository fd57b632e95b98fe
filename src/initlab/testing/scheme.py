"""The conformance suite of a scheme: that its law is what it says, and that people are told what they ask."""

from __future__ import annotations

import doctest
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias, get_args

import numpy as np

from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Calibrated, Law
from initlab.core.laws.draw import draw
from initlab.schemes import SCHEMES, scheme
from initlab.testing.holding import hold, hold_refused

SchemeCheck: TypeAlias = Callable[[str, ParamSpec], None]

_SCALE = 1.5  # that a batch might have given

_DENSE = ParamSpec(path="0/weight", shape=(96, 160), f_in="tanh", f_out="tanh")
_CONV = ParamSpec(path="0/weight", shape=(48, 32, 3, 3), role="conv", f_in="relu", f_out="relu")
_SHORT = 5  # letters that no answer to a question has


def check_scheme(name: str, *, param: ParamSpec | None = None, checks: Sequence[SchemeCheck] | None = None) -> None:
    """Holds a registered scheme to what every scheme keeps.

    Args:
        name: Its name.
        param: A weight that it is made for; without one, a dense weight, or a convolution's where it refuses that.
        checks: Some of ``SCHEME_CHECKS``; all of them where left out.

    Raises:
        AssertionError: What the scheme does otherwise, with the name of the check.
        UnknownNameError: No scheme has the name.

    Example:
        >>> check_scheme("he_normal")
    """
    home = _home(name) if param is None else param
    for check in SCHEME_CHECKS if checks is None else checks:
        try:
            check(name, home)
        except AssertionError as error:
            raise AssertionError(f"{name}: {check.__name__.removeprefix('check_')}: {error}") from error


def _law(name: str, p: ParamSpec, *, dialect: Dialect | None = None) -> Law:
    """The scheme's law; of a data-driven one as if a batch had given a scale."""
    law = scheme(name, dialect=dialect)(p)
    return law.scaled(_SCALE) if isinstance(law, Calibrated) else law


def _home(name: str) -> ParamSpec:
    try:
        scheme(name)(_DENSE)
    except ShapeError:
        return _CONV
    return _DENSE


def check_moments(name: str, p: ParamSpec) -> None:
    """The entries that are drawn have the law's own mean and std, as far as so many can tell."""
    law = _law(name, p)
    entries = draw(law, p.shape, seed=1, path=p.path, dtype="float64")
    mean, std = law.mean(p.shape), law.std(p.shape)
    fourth = np.mean((entries - mean) ** 4)  # the sampling error of a variance is sqrt((E x^4 - std^4) / n)
    hold(abs(entries.mean() - mean) <= 5 * std / np.sqrt(p.size) + 1e-12, "the mean is another", entries.mean())
    off = 5 * np.sqrt(max(fourth - std**4, 0.0) / p.size) + 1e-12
    hold(abs(entries.var() - std**2) <= off, f"the law says std {std:.6g}, and drawn is", entries.std())


def check_bounds(name: str, p: ParamSpec) -> None:
    """Every entry lies within the law's bounds."""
    law = _law(name, p)
    low, high = law.bounds(p.shape)
    entries = draw(law, p.shape, seed=2, path=p.path, dtype="float64")
    hold(low <= entries.min() and entries.max() <= high, "an entry is out of bounds", (entries.min(), entries.max()))


def check_purity(name: str, p: ParamSpec) -> None:
    """The same parameter gets the same law."""
    hold(scheme(name)(p) == scheme(name)(p), "two calls give two laws")


def check_packing(name: str, p: ParamSpec) -> None:
    """Packed weights get the law of separate ones."""
    if len(p.shape) != 2:
        return  # convolutions are not packed
    separate = ParamSpec(path="q", shape=(64, 64), f_in="tanh", f_out="tanh")
    packed = ParamSpec(path="qkv", shape=(192, 64), blocks=(64, 64, 64), f_in="tanh", f_out="tanh")
    alone, together = _law(name, separate).std((64, 64)), _law(name, packed).std((192, 64))
    hold(abs(together - alone) <= 1e-12 * alone, f"a block alone has std {alone:.6g}, packed", together)


def check_answers(name: str, p: ParamSpec) -> None:
    """The registry says what people ask: what it is, formula, source, when to use it and when not, and its family."""
    item = SCHEMES[name]
    asked = {"docstring": item.summary, "formula": item.formula, "source": item.source, "when": item.when,
             "avoid": item.avoid, "family": item.family}  # fmt: skip
    silent = [word for word, said in asked.items() if len(said) < _SHORT]
    hold(not silent, "the registration does not say", ", ".join(silent))


def check_doctest(name: str, p: ParamSpec) -> None:
    """The docstring shows a number that a reader can work out."""
    function = SCHEMES[name].function
    tests = doctest.DocTestFinder(recurse=False).find(function, globs=vars(sys.modules[function.__module__]))
    hold(any(test.examples for test in tests), "the docstring has no example")


def check_options(name: str, p: ParamSpec) -> None:
    """An option that there is not is refused."""
    hold_refused(OptionError, lambda: scheme(name, no_such_option=1), "an unknown option")


def check_scalar(name: str, p: ParamSpec) -> None:
    """A parameter of one number is drawn, or refused in a line."""
    one = ParamSpec(path="s", shape=())
    try:
        law = _law(name, one)
    except InitlabError as error:
        hold("\n" not in str(error), "the refusal has more than a line", error)
        return
    hold(draw(law, (), seed=0, path="s").shape == (), "a scalar is drawn in another shape")


def check_dialects(name: str, p: ParamSpec) -> None:
    """In every framework's form it has a finite std."""
    for dialect in get_args(Dialect):
        std = _law(name, p, dialect=dialect).std(p.shape)
        hold(bool(np.isfinite(std)), f"in the form of {dialect} the std is", std)


SCHEME_CHECKS: tuple[SchemeCheck, ...] = (
    check_moments,
    check_bounds,
    check_purity,
    check_packing,
    check_answers,
    check_doctest,
    check_options,
    check_scalar,
    check_dialects,
)
"""What every scheme keeps, one thing each."""
