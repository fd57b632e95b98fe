"""What a guess costs is found from a loss's values, in all the forms that a loss has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from initlab.core.signals.readings import Guess
from initlab.frameworks.reading.guess import Outputs, constant_guess, guess_by_trying, guess_inside

torch = pytest.importorskip("torch")
functional = torch.nn.functional

RNG = np.random.default_rng(1)
N, K = 48, 5
LOGITS = RNG.normal(size=(N, K)).astype(np.float32)
CLASSES = RNG.integers(0, K, N)
NUMBERS = RNG.normal(0.7, 1.3, (N, K)).astype(np.float32)
Y, R = torch.from_numpy(CLASSES), torch.from_numpy(NUMBERS)
ADVANTAGE = torch.from_numpy(RNG.normal(size=N).astype(np.float32))
BY_UNIT = NUMBERS.astype(np.float64)
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


def judged(loss: Callable[..., Any], *outputs: Any, is_chance: bool = False) -> Guess:
    values = [np.asarray(one, np.float32) for one in outputs]

    def tried(values: list[Any]) -> tuple[float, list[Any]]:
        leaves = [torch.from_numpy(np.array(one)).requires_grad_() for one in values]
        found = loss(*leaves)
        slopes = torch.autograd.grad(found, leaves, allow_unused=True)
        both = zip(values, slopes, strict=True)
        return float(found.detach()), [np.zeros_like(v) if s is None else s.numpy() for v, s in both]

    units = tuple(-1 for _ in values)
    return guess_by_trying(tried(values)[0], Outputs(values, units, is_chance), tried)


def log_shares(o: Any) -> Any:
    return torch.log_softmax(o, 1).gather(1, Y[:, None])[:, 0]


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        (lambda o: functional.cross_entropy(o, Y), LOGITS),
        (lambda o: functional.cross_entropy(o, Y), 20 * LOGITS),
        (lambda o: functional.cross_entropy(o, Y, label_smoothing=0.1), LOGITS),
        (lambda o: functional.cross_entropy(o, Y, weight=torch.tensor([1.0, 9.0, 2.0, 3.0, 1.0])), LOGITS),
        (lambda o: functional.cross_entropy(o, (Y == 0).long() * 0), LOGITS),  # one class alone is in the batch
        (lambda o: functional.nll_loss(o, Y), np.log(SHARES)),
        (lambda o: functional.nll_loss(o.log(), Y), SHARES),
        (lambda o: functional.cross_entropy(o.T[None], Y[None]), LOGITS),
    ],
    ids=["plain", "loud", "smoothed", "weighted", "one class", "log shares", "shares", "laid out"],
)  # fmt: skip
def test_cross_entropy_has_the_uniform_guess_whatever_classes_the_batch_holds(loss: Any, output: Any) -> None:
    found = judged(loss, output)
    assert (found.how, found.classes) == ("uniform", K)
    assert found.value == pytest.approx(math.log(K), rel=1e-5)


@pytest.mark.parametrize("targets", [(R > 0).float(), R.sigmoid()], ids=["hard", "soft"])
def test_two_classes_an_output_have_the_uniform_guess_of_two(targets: Any) -> None:
    found = judged(lambda o: functional.binary_cross_entropy_with_logits(o, targets), LOGITS)
    assert (found.how, found.classes) == ("uniform", 2)
    chances = 1.0 / (1.0 + np.exp(-LOGITS))
    found = judged(lambda o: functional.binary_cross_entropy(o, targets), chances, is_chance=True)
    assert found.value == pytest.approx(math.log(2), rel=1e-5)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-3, 0.0), (1.0, 100.0), (1e3, 0.0)])
@pytest.mark.parametrize(
    ("distance", "best", "growth"),
    [
        (functional.mse_loss, lambda y: y.var(axis=0).mean(), 2),
        (lambda o, y: 0.5 * (o - y).square().sum(1).mean(), lambda y: 0.5 * y.var(axis=0).sum(), 2),
        (functional.l1_loss, lambda y: np.abs(y - np.median(y, axis=0)).mean(), 1),
        (lambda o, y: functional.mse_loss(o, y).sqrt(), lambda y: y.var(axis=0).mean() ** 0.5, 1),
    ],
    ids=["mse", "half the sum", "mae", "its root"],
)
def test_a_distance_has_the_best_constant_of_each_unit(
    distance: Any, best: Any, growth: int, scale: float, shift: float
) -> None:
    targets = R * scale + shift
    found = judged(lambda o: distance(o, targets), LOGITS)
    assert (found.how, found.growth) == ("constant", growth)
    assert found.value == pytest.approx(best(BY_UNIT * scale + shift), rel=2e-3)


def test_a_huber_loss_of_small_numbers_has_half_their_variance() -> None:
    found = judged(lambda o: functional.huber_loss(o, R * 1e-2), LOGITS)
    assert found.how == "constant"
    assert found.value == pytest.approx(0.5e-4 * BY_UNIT.var(axis=0).mean(), rel=1e-3)


def elbo(made: Any, mean: Any, logs: Any) -> Any:
    return functional.mse_loss(made, R, reduction="sum") / N - 0.5 * (1 + logs - mean**2 - logs.exp()).sum() / N


def test_another_loss_has_its_value_at_outputs_of_zero() -> None:
    found = judged(lambda o: functional.multi_margin_loss(o, Y), LOGITS)
    assert (found.how, found.value) == ("zero", pytest.approx((K - 1) / K))
    found = judged(elbo, LOGITS, 0.1 * LOGITS, 0.1 * LOGITS)
    assert (found.how, found.value) == ("zero", pytest.approx(float((R**2).sum()) / N, rel=1e-5))


def info_nce(z: Any) -> Any:
    alike = functional.normalize(z, dim=1) @ functional.normalize(z, dim=1).T / 0.07 - 1e9 * torch.eye(N)
    return functional.cross_entropy(alike, torch.arange(N) ^ 1)


@pytest.mark.parametrize(
    ("loss", "outputs", "why"),
    [
        (lambda o: o[: N // 2].mean() - o[N // 2 :].mean(), [LOGITS[:, :1]], "floor"),
        (lambda o: -(log_shares(o) * ADVANTAGE).mean(), [LOGITS], "floor"),
        (lambda o: functional.gaussian_nll_loss(o[:, :2], R[:, :2], o[:, 2:4].exp()), [LOGITS], "floor"),
        (lambda m, s: functional.gaussian_nll_loss(m, R, functional.softplus(s)), [LOGITS, LOGITS], "floor"),
        (info_nce, [LOGITS], "compares"),
        (lambda a, b, c: functional.triplet_margin_loss(a, b.roll(1, 0), c), [LOGITS] * 3, "compares"),
        (lambda o: functional.mse_loss(functional.dropout(o, 0.5), R), [LOGITS], "another number"),
        (lambda o: o.mean() * math.inf, [LOGITS], "not finite"),
        (lambda o: functional.mse_loss(o, torch.full((N, K), 3.0)), [LOGITS], "all the same"),
        (lambda o: o.detach().mean() + 0.0 * o.mean(), [LOGITS], "does not depend"),
        (lambda o: (o.sqrt() if bool((o != 0).all()) else o[99]).mean(), [np.abs(LOGITS)], "IndexError"),
    ],
    ids=["critic", "policy", "nll", "nll of two", "nce", "triplet", "dropout", "inf", "one target", "none", "raises"],
)
def test_a_loss_without_a_yardstick_gets_no_verdict_and_the_reason(loss: Any, outputs: Any, why: str) -> None:
    found = judged(loss, *outputs)
    assert math.isnan(found.value)
    assert why in found.why


def test_a_loss_inside_a_model_is_known_by_its_value() -> None:
    tokens = RNG.integers(0, K, (6, 7))
    logits = RNG.normal(size=(6, 7, K)).astype(np.float32)
    outputs = Outputs([logits], (-1,))
    here = functional.cross_entropy(torch.from_numpy(logits).flatten(0, 1), torch.from_numpy(tokens).flatten())
    after = functional.cross_entropy(
        torch.from_numpy(logits[:, :-1]).flatten(0, 1), torch.from_numpy(tokens[:, 1:]).flatten()
    )
    for loss in (float(here), float(after)):
        found = guess_inside(loss, outputs, [np.ones((6, 7), np.int64), tokens])
        assert found is not None
        assert found.classes == K
        assert guess_inside(1.01 * loss, outputs, [np.ones((6, 7), np.int64), tokens]) is None


def test_a_squared_error_inside_a_model_is_known_by_its_value() -> None:
    loss = float(np.square(LOGITS - NUMBERS).mean())
    found = guess_inside(loss, Outputs([LOGITS], (-1,)), [CLASSES, NUMBERS])
    assert found == constant_guess(NUMBERS, -1)
    assert found.value == pytest.approx(BY_UNIT.var(axis=0).mean())


def test_channels_are_units_where_the_framework_has_them_so() -> None:
    images = RNG.normal(size=(4, 3, 2, 2)) * np.array([1.0, 2.0, 5.0])[:, None, None] + 7.0
    assert constant_guess(images, 1).value == pytest.approx(images.var(axis=(0, 2, 3)).mean())
