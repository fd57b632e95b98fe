"""What looks like a fault and trains: no alarm, beside a twin that is sick by the same rule and must be found."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

import initlab
from initlab.probing.diagnosis import Diagnosis

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

WIDTH, TOKENS = 32, 12


def probed(build: Callable[[], nn.Module], *, seed: int = 3, draws: tuple[int, ...] = (16, TOKENS, WIDTH)) -> Diagnosis:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = build()
        batch = torch.randn(draws)
    return initlab.probe(net, batch).diagnose()


def kinds(found: Diagnosis) -> set[str]:
    return {finding.kind for finding in found.alarms}


class Gated(nn.Module):
    """Tokens times a gate that is nearly the same for all of them."""

    def __init__(self, units: int, *, merged: bool = False) -> None:
        super().__init__()
        self.up, self.gate, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, units), nn.Linear(WIDTH, 5)
        self.merged = merged
        nn.init.normal_(self.gate.weight, std=1e-6)
        nn.init.ones_(self.gate.bias)

    def forward(self, x):
        gate, x = torch.sigmoid(self.gate(x)), torch.tanh(self.up(x))
        if self.merged:
            x = x.mean(1, keepdim=True).expand_as(x)
        return self.head(torch.tanh(x * gate))


@pytest.mark.parametrize("units", [1, WIDTH])
def test_a_gate_that_is_alike_for_all_tokens_makes_no_token_alike(units: int) -> None:
    assert kinds(probed(lambda: Gated(units))) == set()
    assert kinds(probed(lambda: Gated(units, merged=True))) == {"equal tokens"}


class Masked(nn.Module):
    """Attention with infinite logits where a mask is, and queries of any size."""

    def __init__(self, *, std: float = 0.2, loud: float = 1.0) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.up, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)
        nn.init.normal_(self.q.weight, std=std)
        nn.init.normal_(self.k.weight, std=std)
        with torch.no_grad():
            self.up.weight.mul_(loud)

    def forward(self, x):
        later = torch.ones(TOKENS, TOKENS).triu(1).bool()
        logits = self.q(x) @ self.k(x).transpose(1, 2) / math.sqrt(WIDTH)
        shares = functional.softmax(logits.masked_fill(later, -math.inf), -1)
        return self.head(torch.tanh(self.up(x + shares @ self.v(x))))


def test_the_infinite_logits_of_a_mask_are_no_overflow() -> None:
    assert kinds(probed(Masked)) == set()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net, x = Masked(loud=1e5).half(), torch.randn(16, TOKENS, WIDTH).half()
        net.to(torch.float16)
    assert "values that overflow" in kinds(initlab.probe(net, 1e2 * x).diagnose())


def test_queries_and_keys_that_are_merely_small_get_a_gradient() -> None:
    assert probed(lambda: Masked(std=1e-4)).findings == ()


def test_queries_and_keys_that_are_both_zero_are_told() -> None:
    found = probed(lambda: Masked(std=0.0))
    assert "zero weights that block learning" in kinds(found)
    assert "attention at its ceiling" in found


class Stream(nn.Module):
    """A residual stream whose branches end in a norm, or not."""

    def __init__(self, *, depth: int = 40, normed: bool = True) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) if normed else nn.Identity() for _ in range(depth))
        self.head = nn.Linear(WIDTH, 5)
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=1.0 / math.sqrt(WIDTH))

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + norm(layer(x))
        return self.head(functional.layer_norm(x, (WIDTH,)))


def test_a_stream_to_which_norms_add_grows_like_the_depth_and_one_without_doubles() -> None:
    assert kinds(probed(Stream, draws=(16, WIDTH))) == set()
    assert "growing residual stream" in kinds(probed(lambda: Stream(normed=False), draws=(16, WIDTH)))


class Beside(nn.Module):
    """Two branches, the second a copy of the first, one behind the other or beside it."""

    def __init__(self, *, is_parallel: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.branches[1].load_state_dict(self.branches[0].state_dict())
        self.head, self.is_parallel = nn.Linear(WIDTH, 5), is_parallel

    def forward(self, x):
        first = torch.tanh(self.branches[0](x))
        second = torch.tanh(self.branches[1](x if self.is_parallel else first))
        return self.head(first + second if self.is_parallel else second)


def test_copies_behind_each_other_part_and_copies_beside_each_other_stay_one() -> None:
    found = probed(lambda: Beside(is_parallel=False))
    assert kinds(found) == set()
    assert "cloned layers" in found
    assert kinds(probed(lambda: Beside(is_parallel=True))) == {"cloned layers"}


class Mixing(nn.Module):
    """Blocks that mix with the step before by numbers that rise over the channels, or by numbers that were copied."""

    def __init__(self, *, drawn: bool = False) -> None:
        super().__init__()
        mix = torch.rand(1, 1, WIDTH) if drawn else torch.linspace(0.0, 1.0, WIDTH).view(1, 1, -1) ** 0.7
        self.mixes = nn.ParameterList(nn.Parameter(mix.clone()) for _ in range(3))
        self.layers, self.head = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3)), nn.Linear(WIDTH, 5)

    def forward(self, x):
        for mix, layer in zip(self.mixes, self.layers, strict=True):
            x = torch.tanh(layer(x * mix + x.roll(1, 1) * (1 - mix)))
        return self.head(x)


def test_numbers_in_order_are_no_copies_of_random_ones() -> None:
    assert "cloned layers" not in probed(Mixing)
    assert "cloned layers" in probed(lambda: Mixing(drawn=True))


class Squeeze(nn.Module):
    """A squeeze and an excitation of a convolution's channels."""

    def __init__(self, units: int, *, bias: float = 0.0) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 5)
        self.down, self.up = nn.Linear(16, units), nn.Linear(units, 16)
        nn.init.constant_(self.down.bias, bias)

    def forward(self, x):
        x = functional.relu(self.conv(x))
        squeezed = torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3))))))
        return self.head((x * squeezed[:, :, None, None]).mean((2, 3)))


def test_two_units_that_are_dead_by_chance_are_no_fault_and_sixteen_by_their_bias_are() -> None:
    for seed in range(10):
        assert "dead units" not in probed(lambda: Squeeze(2), seed=seed, draws=(8, 3, 8, 8))
    assert "dead units" in kinds(probed(lambda: Squeeze(16, bias=-10.0), draws=(8, 3, 8, 8)))


class Detector(nn.Module):
    """A head of probabilities with the prior of a rare class, as focal loss has it (arXiv:1708.02002, section 4.1)."""

    def __init__(self, *, std: float = 0.01) -> None:
        super().__init__()
        self.up, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        nn.init.normal_(self.head.weight, std=std)
        nn.init.constant_(self.head.bias, -math.log(99.0) if std < 1.0 else 0.0)

    def forward(self, x):
        return torch.sigmoid(self.head(functional.relu(self.up(x))))


def test_the_prior_of_a_rare_class_saturates_nothing_and_large_weights_do() -> None:
    assert kinds(probed(Detector)) == set()
    assert kinds(probed(lambda: Detector(std=30.0))) == {"saturated units"}


def test_saturated_units_through_which_the_gradient_holds_are_a_note_and_others_an_alarm() -> None:
    def sigmoids(scheme: str) -> nn.Module:
        parts = [part for _ in range(8) for part in (nn.Linear(WIDTH, WIDTH), nn.Sigmoid())]
        return initlab.initialize(nn.Sequential(*parts, nn.Linear(WIDTH, 5)), scheme, seed=3)

    assert "saturated units" not in kinds(probed(lambda: sigmoids("auto"), draws=(64, WIDTH)))
    assert "saturated units" in kinds(probed(lambda: sigmoids("normal(std=10)"), draws=(64, WIDTH)))
