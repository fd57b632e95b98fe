"""Terms of convolutions that are not padding, counted by torch on ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initlab.core.facts.spec import ParamSpec, Role
from initlab.core.signals.readings import Place
from initlab.probing.measure.weights import facts_of
from initlab.probing.predict.fans import WeightedSum, weighted_sum

torch = pytest.importorskip("torch")
sizes = st.integers(1, 4)


def terms(layer: object, role: Role, shape: tuple[int, ...]) -> tuple[float, float]:
    """What is predicted, and the mean over outputs of sums of ones."""
    with torch.no_grad():
        layer.weight.fill_(1.0)  # type: ignore[attr-defined]
        x = torch.ones(shape)
        y = layer(x)  # type: ignore[operator]
    groups = layer.groups  # type: ignore[attr-defined]
    kernel, stride = tuple(layer.kernel_size), tuple(layer.stride)  # type: ignore[attr-defined]
    param = ParamSpec(
        path="w", native="w", shape=(y.shape[1], x.shape[1] // groups, *kernel), role=role, groups=groups, stride=stride
    )
    facts = {"stride": stride, "padding": tuple(layer.padding), "dilation": tuple(layer.dilation)}  # type: ignore[attr-defined]
    place = Place("weighted", "conv", (0,), tuple(y.shape), 1, ("w",), facts=facts)
    weights = {"w": facts_of(layer.weight.detach().numpy(), native="w")}  # type: ignore[attr-defined]
    found = weighted_sum(place, Place("input", "x", shape=tuple(x.shape), units=1), {"w": param}, weights)
    assert isinstance(found, WeightedSum)
    return found.terms, float(y.mean())


@settings(max_examples=40, deadline=None)
@given(kernel=sizes, stride=sizes, dilation=sizes, padding=st.integers(0, 3), groups=st.sampled_from([1, 2]))
def test_a_convolution_has_the_terms_that_sums_of_ones_count(
    kernel: int, stride: int, dilation: int, padding: int, groups: int
) -> None:
    layer = torch.nn.Conv2d(4, 6, (kernel, 2), stride, padding, dilation, groups, bias=False)
    predicted, counted = terms(layer, "conv", (1, 4, 13, 11))
    assert predicted == pytest.approx(counted, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(kernel=st.integers(2, 4), stride=sizes, padding=st.integers(0, 1), groups=st.sampled_from([1, 2]))
def test_a_transposed_convolution_has_the_terms_that_sums_of_ones_count(
    kernel: int, stride: int, padding: int, groups: int
) -> None:
    layer = torch.nn.ConvTranspose2d(4, 6, (kernel, 3), stride, padding, 0, groups, bias=False)
    predicted, counted = terms(layer, "conv_transpose", (1, 4, 7, 5))
    assert predicted == pytest.approx(counted, rel=1e-5)
