"""What theory says of values that are cut, turned or multiplied, and of layers whose sums are not seen."""

from __future__ import annotations

import math

import pytest

import initlab
from initlab.probing.measure.metrics import Compared, LayerRow
from initlab.probing.profile import Profile

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional


def drawn(net):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / math.sqrt(p.shape[-1]))
    return net


def samples(*shape: int):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def row(profile: Profile, path: str) -> LayerRow:
    return next(row for row in profile.rows if row.path == path)


def gradient(net, path: str) -> Compared:
    return row(initlab.probe(net, samples(64, 64)), path).gradient


class Cut(nn.Module):
    """The first half of a layer's units goes on, the rest goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(64, 256, bias=False), nn.Linear(128, 32, bias=False)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)[:, :128]))


class Turned(nn.Module):
    """The halves of a layer's units change places, one of them negated."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(64, 256, bias=False), nn.Linear(256, 32, bias=False)

    def forward(self, x):
        z = self.a(x)
        return self.b(torch.cat([-z[:, 128:], z[:, :128]], 1))


class Rotated(nn.Module):
    """Units are multiplied by numbers of no layer, as rotary positions are."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(64, 256, bias=False), nn.Linear(256, 32, bias=False)

    def forward(self, x):
        with torch.no_grad():
            angles = torch.cos(torch.arange(256.0) + x[0, 0].sign())
        return self.b(self.a(x) * angles)


@pytest.mark.parametrize("build", [Cut, Turned])
def test_the_gradient_of_units_of_which_a_part_goes_on_is_that_of_the_part(build) -> None:
    found = gradient(drawn(build()), "a")
    assert found.predicted is not None
    # The spread of a mean over 256 units of 64 samples, whose weights are one draw.
    assert found.ratio == pytest.approx(1.0, abs=0.15)


def test_where_units_are_multiplied_by_numbers_of_no_layer_theory_is_silent() -> None:
    found = gradient(drawn(Rotated()), "a")
    assert found.predicted is None or found.ratio == pytest.approx(1.0, abs=0.15)
    assert found.measured > 0.0


# Layers whose sums are not seen


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


def test_a_recurrent_layer_has_a_row_of_what_comes_out_of_it() -> None:
    found = row(initlab.probe(drawn(Recurrent()), samples(16, 5, 8)), "cells")
    assert math.isnan(found.signal.measured)
    assert 0.0 < found.after.measured < 1.0
    assert found.weight_std == pytest.approx(1.0 / math.sqrt(8), rel=0.1)
    assert not found.is_hidden


def test_rows_of_a_table_of_positions_are_no_samples() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.positions, self.head = nn.Embedding(20, 16), nn.Embedding(6, 16), nn.Linear(16, 20)

        def forward(self, ids):
            return self.head(self.words(ids) + self.positions(torch.arange(ids.shape[1])))

    ids = torch.randint(0, 20, (8, 6), generator=torch.Generator().manual_seed(0))
    found = row(initlab.probe(drawn(Placed()), ids, ids), "positions")
    assert math.isnan(found.cosine.measured)
    assert math.isnan(found.rank)


def test_that_one_of_two_outputs_is_followed_is_said() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.one, self.other = nn.Linear(8, 16), nn.Linear(16, 3), nn.Linear(16, 1)

        def forward(self, x):
            z = torch.relu(self.body(x))
            return {"one": self.one(z), "other": self.other(z)}

    net, x = drawn(Two()), samples(16, 8)
    assert "of 2 outputs the first alone was followed" in " ".join(str(initlab.probe(net, x)).split())
    whole = initlab.probe(net, x, loss=lambda out: out["one"].square().mean() + out["other"].square().mean())
    assert "outputs" not in str(whole)
    assert row(whole, "other").gradient.measured > 0.0
