"""What every scheme of the registry keeps, whoever wrote it."""

from __future__ import annotations

import numpy as np
import pytest

from initlab.core.errors import InitlabError, OptionError, ShapeError, UnknownNameError
from initlab.core.facts.spec import Axes, ParamSpec
from initlab.core.laws.draw import draw
from initlab.schemes import SCHEMES, register_scheme, scheme
from initlab.testing import SCHEME_CHECKS, check_scheme
from initlab.testing.scheme import SchemeCheck

DENSE = ParamSpec(path="0/weight", shape=(96, 160), f_in="tanh", f_out="tanh")
CONV = ParamSpec(path="0/weight", shape=(48, 32, 3, 3), role="conv", f_in="relu", f_out="relu")
NAMES = [name for name in SCHEMES if not name.startswith("doctest")]


@pytest.mark.parametrize("check", SCHEME_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_scheme_keeps_what_every_scheme_keeps(name: str, check: SchemeCheck) -> None:
    check_scheme(name, checks=[check])


ALIASES = {
    "kaiming_normal": "he_normal",
    "kaiming_uniform_": "he_uniform",
    "xavier_uniform": "glorot_uniform",
    "xavier_normal_": "glorot_normal",
    "RandomNormal": "normal",
    "RandomUniform": "uniform",
    "TruncatedNormal": "truncated_normal",
    "trunc_normal_": "truncated_normal",
    "GlorotUniform": "glorot_uniform",
    "GlorotNormal": "glorot_normal",
    "HeNormal": "he_normal",
    "HeUniform": "he_uniform",
    "LecunNormal": "lecun_normal",
    "LecunUniform": "lecun_uniform",
    "VarianceScaling": "variance_scaling",
    "Orthogonal": "orthogonal",
    "Identity": "identity",
    "eye_": "identity",
    "dirac_": "dirac",
    "Zeros": "zeros",
    "Ones": "ones",
    "Constant": "constant",
    "sparse_": "sparse",
}


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_the_frameworks_names_are_known(alias: str, target: str) -> None:
    assert SCHEMES.canonical(alias) == target


def test_a_misspelt_name_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'he_normal'"):
        scheme("he_norml")


@pytest.mark.parametrize(
    ("call", "fix"),
    [
        ("he_normal(mode=fanout)", "fan_in or fan_out or fan_avg"),
        ("normal(std=big)", "a number"),
        ("orthogonal(widen=2)", "bool"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_the_choices(call: str, fix: str) -> None:
    with pytest.raises(OptionError, match=fix):
        scheme(call)


@pytest.mark.parametrize(
    "call", ["normal(std=-1.0)", "uniform(low=1.0, high=0.0)", "sparse(sparsity=1.5)", "he_normal"]
)
def test_values_out_of_range_and_shapes_without_fans_are_refused(call: str) -> None:
    with pytest.raises(InitlabError):
        scheme(call)(ParamSpec(shape=(3, 4) if "(" in call else (3,)))


def test_identity_refuses_a_convolution_kernel() -> None:
    with pytest.raises(ShapeError):
        scheme("identity")(CONV)


def test_a_label_always_names_the_number_of_a_fixed_scale() -> None:
    assert scheme("RandomNormal").label == "normal(std=0.05)"
    assert scheme("normal", dialect="torch").label == "normal(std=1.0)"
    assert scheme("uniform").label == "uniform(low=-0.05, high=0.05)"


def test_a_label_does_not_depend_on_the_order_of_the_options() -> None:
    first, second = scheme("uniform(high=1.0, low=-1.0)"), scheme("uniform(low=-1.0, high=1.0)")
    assert first.label == second.label == "uniform(low=-1.0, high=1.0)"


def test_whole_and_real_numbers_make_one_scheme() -> None:
    assert scheme("normal(std=1)") == scheme("normal(std=1.0)")


def test_published_names_keep_their_number_in_every_layer() -> None:
    laws = {scheme("he_normal")(ParamSpec(shape=(64, 200), f_in=f)).std((64, 200)) for f in (None, "relu", "tanh")}
    assert laws == {0.1}


@pytest.mark.parametrize(
    ("gain", "expected"),
    [("forward", 1.5925374197228314), ("backward", 1.4674135916307951), ("centered", 1.5925374197)],
)
def test_exact_gain_follows_the_networks_own_activation(gain: str, expected: float) -> None:
    """The gains of tanh, by 32-digit quadrature."""
    p = ParamSpec(shape=(100, 100), f_in="tanh", f_out="tanh")
    for family in ("exact_gain_normal", "exact_gain_uniform", "exact_gain_orthogonal"):
        assert scheme(family, gain=gain)(p).std(p.shape) * 10 == pytest.approx(expected, rel=1e-9)


def test_the_first_layer_has_gain_one() -> None:
    assert scheme("exact_gain_normal")(ParamSpec(shape=(8, 100), f_out="tanh")).std((8, 100)) == pytest.approx(0.1)


def test_orthogonal_groups_are_orthogonal_by_themselves() -> None:
    p = ParamSpec(path="w", shape=(8, 4, 1, 1), role="conv", groups=2)
    w = draw(scheme("orthogonal")(p), p.shape, seed=3, path="w", dtype="float64").reshape(2, 4, 4)
    assert np.abs(w @ w.transpose(0, 2, 1) - np.eye(4)).max() < 1e-12
    assert not np.allclose(w[0], w[1])


def test_an_einsum_kernel_is_orthogonal_over_its_own_axes() -> None:
    p = ParamSpec(path="q", shape=(16, 2, 8), axes=Axes((0,), (1, 2)))
    w = draw(scheme("orthogonal")(p), p.shape, seed=3, path="q", dtype="float64").reshape(16, 16)
    assert np.abs(w.T @ w - np.eye(16)).max() < 1e-12


def test_a_users_scheme_is_known_by_name_everywhere() -> None:
    from initlab.core.laws import Normal

    @register_scheme(name="test_quarter")
    def quarter(p: ParamSpec, *, over: float = 4.0) -> Normal:
        """Normal of std ``1 / over``."""
        return Normal(1.0 / over)

    assert scheme("test_quarter")(DENSE).std(DENSE.shape) == 0.25
    assert scheme("test_quarter(over=2)")(DENSE).std(DENSE.shape) == 0.5
