"""``initlab.torch.init_``: one tensor filled in place, by the laws and the streams of initlab."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import initlab
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec
from initlab.torch import init_


def canonical(scheme: str, param: ParamSpec, *, seed: int, dialect: Dialect | None = None) -> np.ndarray:
    law = initlab.scheme(scheme, dialect=dialect)(param)
    return initlab.draw(law, param.shape, seed=seed, path=param.path)


@pytest.mark.parametrize("scheme", ["he_normal", "glorot_uniform", "orthogonal", "truncated_normal", "sparse"])
@pytest.mark.parametrize("shape", [(12, 7), (7, 12)])
def test_a_matrix_holds_the_numbers_that_draw_gives(scheme: str, shape: tuple[int, int]) -> None:
    got = init_(torch.empty(shape), scheme, seed=5, path="0/weight")
    np.testing.assert_array_equal(got.numpy(), canonical(scheme, ParamSpec(path="0/weight", shape=shape), seed=5))


def test_a_transposed_convolution_is_the_canonical_draw_with_two_axes_swapped_in_each_group() -> None:
    layer = nn.ConvTranspose2d(8, 6, 4, stride=2, groups=2, bias=False)
    got = init_(layer.weight, seed=1, role="conv_transpose", groups=2, stride=layer.stride).detach().numpy()
    param = ParamSpec(shape=(6, 4, 4, 4), role="conv_transpose", groups=2, stride=(2, 2))
    first, second = np.split(canonical("he_normal", param, seed=1), 2)
    np.testing.assert_array_equal(got, np.concatenate([first.swapaxes(0, 1), second.swapaxes(0, 1)]))


def test_a_depthwise_kernel_has_the_std_of_its_true_fan_out() -> None:
    weight = nn.Conv2d(256, 256, 3, groups=256, bias=False).weight
    init_(weight, "he_normal", mode="fan_out", groups=256, seed=0)
    want = np.sqrt(2 / 9)  # nine taps see one output: 0.471
    assert float(weight.detach().std()) == pytest.approx(want, abs=5 * want / np.sqrt(2 * weight.numel()))


@pytest.mark.parametrize(
    ("scheme", "theirs"),
    [
        ("he_normal", lambda w: nn.init.kaiming_normal_(w)),
        ("he_uniform", lambda w: nn.init.kaiming_uniform_(w)),
        ("glorot_normal", lambda w: nn.init.xavier_normal_(w)),
        ("glorot_uniform", lambda w: nn.init.xavier_uniform_(w)),
        ("normal", lambda w: nn.init.normal_(w)),
    ],
)
def test_in_torchs_dialect_the_law_is_that_of_torchs_own_function(scheme: str, theirs) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = theirs(torch.empty(64, 16, 3, 3)).flatten().numpy()
    ours = init_(torch.empty(64, 16, 3, 3), scheme, seed=0, dialect="torch").flatten().numpy()
    assert stats.ks_2samp(ours, reference).pvalue > 1e-6
    # 5 sigma of a ratio of two stds of normal samples; uniform ones scatter less.
    assert ours.std() / reference.std() == pytest.approx(1, abs=5 / np.sqrt(ours.size))


def test_options_reach_the_scheme() -> None:
    got = init_(torch.empty(40, 100), "orthogonal", gain=3.0, seed=0)
    np.testing.assert_allclose(torch.linalg.svdvals(got).numpy(), 3.0, rtol=1e-5)


def test_the_same_tensor_is_returned_and_stays_a_leaf() -> None:
    weight = nn.Parameter(torch.empty(3, 4))
    assert init_(weight, seed=0) is weight
    assert weight.requires_grad
    assert weight.is_leaf


def test_narrow_floats_are_the_float32_numbers_cast() -> None:
    wide = init_(torch.empty(8, 6), seed=2)
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal(init_(torch.empty(8, 6, dtype=dtype), seed=2), wide.to(dtype))


def test_the_memory_format_stays_and_changes_no_number() -> None:
    plain = init_(torch.empty(8, 4, 3, 3), seed=2)
    last = torch.empty(8, 4, 3, 3, memory_format=torch.channels_last)
    strides = last.stride()
    assert torch.equal(init_(last, seed=2), plain)
    assert last.stride() == strides


def test_without_a_seed_two_calls_in_a_row_differ_and_with_one_the_generator_stays() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        first, second = (init_(torch.empty(4, 4)) for _ in range(2))
        before = torch.get_rng_state()
        init_(torch.empty(4, 4), seed=2**70)
        assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)


def test_without_a_seed_the_draw_follows_manual_seed() -> None:
    with torch.random.fork_rng():
        nets = []
        for seed in (101, 102, 101):
            torch.manual_seed(seed)
            nets.append(init_(torch.empty(4, 4)))
    assert torch.equal(nets[0], nets[2])
    assert not torch.equal(nets[0], nets[1])


def test_another_path_is_another_draw() -> None:
    first, second = (init_(torch.empty(4, 4), seed=0, path=path) for path in ("a", "b"))
    assert not torch.equal(first, second)


def test_a_bias_takes_a_law_without_fans() -> None:
    assert torch.equal(init_(torch.empty(5), "constant", value=0.25), torch.full((5,), 0.25))


BAD = {
    "meta": (lambda: init_(torch.empty(3, 3, device="meta")), "meta device"),
    "whole numbers": (lambda: init_(torch.zeros(3, 3, dtype=torch.int64)), "int64 numbers are not drawn"),
    "complex": (lambda: init_(torch.zeros(3, 3, dtype=torch.complex64), "sparse"), "has no complex form"),
    "lazy": (lambda: init_(nn.LazyLinear(3).weight), "no shape yet"),
    "expanded": (lambda: init_(torch.zeros(3, 1).expand(3, 3)), "share memory"),
    "no tensor": (lambda: init_([1.0]), "list is not a tensor"),
    "a module": (lambda: init_(nn.Linear(2, 2)), "initlab.initialize"),
    "scheme": (lambda: init_(torch.empty(3, 3), "he_norml"), "Did you mean 'he_normal'"),
    "option": (lambda: init_(torch.empty(3, 3), gain=1.0), "no option 'gain'"),
    "seed": (lambda: init_(torch.empty(3, 3), seed=-1), "the seed must be"),
    "role": (lambda: init_(torch.empty(3, 3), role="matrix"), "unknown role"),
    "one axis": (lambda: init_(torch.empty(3)), "no fans"),
    "groups": (lambda: init_(torch.empty(3, 3, 1), groups=2), "2 groups do not divide"),
    "transposed": (lambda: init_(torch.empty(3, 3, 1), role="conv_transpose", groups=2), "no transposed convolution"),
    "stride": (lambda: init_(torch.empty(3, 3, 1), stride=(2, 2)), "stride"),
}


@pytest.mark.parametrize(("call", "text"), BAD.values(), ids=BAD)
def test_what_cannot_be_filled_is_refused_in_one_line(call, text: str) -> None:
    with pytest.raises(initlab.InitlabError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_refused_tensor_keeps_its_numbers() -> None:
    tensor = torch.arange(3.0)
    with pytest.raises(initlab.InitlabError):
        init_(tensor, seed=0)
    assert torch.equal(tensor, torch.arange(3.0))
