"""Gradients over time: what is said of a recurrent layer is what autograd does, and only sick ones are alarms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import initlab
from initlab.probing.diagnosis import Diagnosis
from initlab.probing.measure.recurrence import Cell, growth
from initlab.theory import activation, chi_1

torch = pytest.importorskip("torch")
nn = torch.nn

WIDTH, INPUTS, STEPS = 64, 8, 32


class Sequences(nn.Module):
    def __init__(self, cells) -> None:
        super().__init__()
        self.cells, self.head = cells, nn.Linear(WIDTH * (2 if cells.bidirectional else 1), 5)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


CELLS: dict[str, Callable[[], nn.Module]] = {
    "tanh": lambda: nn.RNN(INPUTS, WIDTH, batch_first=True),
    "relu": lambda: nn.RNN(INPUTS, WIDTH, nonlinearity="relu", batch_first=True),
    "gru": lambda: nn.GRU(INPUTS, WIDTH, batch_first=True),
    "lstm": lambda: nn.LSTM(INPUTS, WIDTH, batch_first=True),
}


def net(kind: str, scheme: str = "", *, gain: float | None = None):
    """A layer as torch draws it; by a scheme; or with recurrent weights of std ``gain / sqrt(width)``."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Sequences(CELLS[kind]())
        if scheme == "identity":
            with torch.no_grad():
                own = model.cells.weight_hh_l0
                own.copy_(torch.eye(WIDTH).repeat(len(own) // WIDTH, 1))
        elif scheme:
            initlab.initialize(model, scheme, seed=0)
        if gain is not None:
            nn.init.normal_(model.cells.weight_hh_l0, std=gain / math.sqrt(WIDTH))
    return model


def batch():
    return torch.randn(16, STEPS, INPUTS, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 5


def told(model) -> Diagnosis:
    return initlab.probe(model, *batch()).diagnose()


def over_time(found: Diagnosis) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in found.findings if "over time" in finding.kind}


# The number


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("scheme", ["", "keras_default", "identity"])
def test_the_factor_of_a_step_is_that_of_autograd(kind: str, scheme: str) -> None:
    model, (x, y) = net(kind, scheme), batch()
    past = initlab.probe(model, x, y).evidence.pasts[0]
    x.requires_grad_()
    model(x).square().sum().backward()
    logs = x.grad.square().sum((0, 2)).double().log()
    # Inputs see the state's gradient through the same weights at every step, so the slope of its logarithm is that of
    # the state's. 24 steps of 16 random sequences: its scatter is about a tenth.
    slope = float(logs[4] - logs[-4]) / (STEPS - 8)
    assert math.log(past.factor) == pytest.approx(slope, abs=0.25)


def test_independent_weights_of_a_plain_cell_have_the_factor_chi_1() -> None:
    rng = np.random.default_rng(0)
    n, sigma_w2 = 400, 0.81
    own, entered = rng.normal(size=(n, n)) * math.sqrt(sigma_w2 / n), rng.normal(size=(n, n)) / math.sqrt(n)
    # Inputs of mean square 1 through n weights of variance 1/n add 1 to what the state gives: q = sigma_w² E f² + 1.
    f, z = activation("tanh"), rng.normal(size=100_000)
    q = 1.0
    for _ in range(50):
        q = sigma_w2 * float((f(math.sqrt(q) * z) ** 2).mean()) + 1.0
    found = growth(Cell(own, entered, np.zeros(n), np.zeros(n)), square=1.0)
    # 2 sequences of 12 steps, whose squared sizes scatter by sqrt(2 / n) each: five standard errors.
    assert found == pytest.approx(chi_1("tanh", sigma_w2=sigma_w2, q=q), rel=0.075)


def test_an_orthogonal_linear_cell_keeps_a_gradient_exactly() -> None:
    own, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))
    zero = np.zeros(16)
    assert growth(Cell(own, np.ones((16, 2)), zero, zero, f="identity"), square=1.0) == pytest.approx(1.0, abs=1e-6)


def test_an_lstm_whose_gates_are_shut_but_for_the_one_that_keeps_holds_its_cell() -> None:
    n = 8
    shut = np.repeat([-40.0, 1.0, 0.0, -40.0], n)  # i, f, g, o
    cell = Cell(np.zeros((4 * n, n)), np.zeros((4 * n, 2)), shut, np.zeros(4 * n))
    assert growth(cell, square=1.0) == pytest.approx((1.0 / (1.0 + math.exp(-1.0))) ** 2, rel=1e-6)


@pytest.mark.parametrize("update_first", [False, True])
def test_the_update_gate_of_a_gru_is_where_its_framework_has_it(update_first: bool) -> None:
    n = 8
    open_first = np.repeat([2.0, 0.0, 0.0], n)
    cell = Cell(np.zeros((3 * n, n)), np.zeros((3 * n, 2)), open_first, np.zeros(3 * n), has_update_first=update_first)
    z = 1.0 / (1.0 + math.exp(-2.0)) if update_first else 0.5
    assert growth(cell, square=1.0) == pytest.approx(z**2, rel=1e-6)


# The verdict


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("scheme", ["", "keras_default", "identity"])
def test_usual_recurrent_weights_are_no_alarm(kind: str, scheme: str) -> None:
    found = told(net(kind, scheme))
    assert found.healthy, str(found)
    assert "exploding gradient over time" not in found


@pytest.mark.parametrize(("kind", "gain"), [("tanh", 3.0), ("relu", 2.0), ("gru", 8.0), ("lstm", 8.0)])
def test_recurrent_weights_far_above_one_over_the_root_of_the_width_are_an_alarm(kind: str, gain: float) -> None:
    found = told(net(kind, gain=gain))  # a gain of 8 is N(0, 1) at a width of 64
    assert over_time(found)["exploding gradient over time"] == "alarm", str(found)


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_recurrent_weights_that_keep_nothing_of_the_step_before_are_an_alarm(kind: str) -> None:
    found = told(net(kind, gain=0.05))  # 0.05² a step at most
    assert over_time(found)["vanishing gradient over time"] == "alarm", str(found)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_small_recurrent_weights_behind_gates_that_keep_half_are_a_note(kind: str) -> None:
    assert over_time(told(net(kind, gain=0.05))) == {"vanishing gradient over time": "note"}


@pytest.mark.parametrize(("kind", "gain"), [("tanh", 3.0), ("gru", 8.0), ("lstm", 8.0), ("tanh", 0.05)])
def test_orthogonal_recurrent_weights_end_the_alarm_as_the_finding_says(kind: str, gain: float) -> None:
    model = net(kind, gain=gain)
    finding = next(finding for finding in told(model).alarms if "over time" in finding.kind)
    assert finding.schemes == {"cells.weight_hh_l0": "orthogonal"}
    initlab.initialize(model, finding.schemes, seed=0)
    assert told(model).healthy


def test_a_ratio_counts_the_steps_of_the_batch() -> None:
    model, (x, y) = net("tanh", gain=3.0), batch()
    assert "exploding gradient over time" not in initlab.probe(model, x[:, :4], y).diagnose()


def test_every_cell_of_a_stack_and_of_both_directions_is_looked_at() -> None:
    stack = Sequences(nn.GRU(INPUTS, WIDTH, 2, batch_first=True, bidirectional=True))
    names = [past.native for past in initlab.probe(stack, *batch()).evidence.pasts]
    assert names == [f"cells.weight_hh_l{layer}{way}" for layer in (0, 1) for way in ("", "_reverse")]


def test_a_plain_relu_cell_of_keras_has_no_flat_ends_and_a_loud_gru_explodes() -> None:
    keras = pytest.importorskip("keras")
    x, y = (part.numpy() for part in batch())

    def found(layer) -> Diagnosis:
        model = keras.Sequential([keras.Input((STEPS, INPUTS)), layer, keras.layers.Dense(5)])
        return initlab.probe(model, x, y).diagnose()

    drawn = {"kernel_initializer": keras.initializers.GlorotUniform(0)}
    loud = keras.initializers.RandomNormal(stddev=1.0, seed=0)
    twin = keras.initializers.Orthogonal(seed=0)
    identity = keras.initializers.Identity()
    plain = found(keras.layers.SimpleRNN(WIDTH, "relu", recurrent_initializer=identity, **drawn))
    assert not {"saturated units", "exploding gradient over time"} & {finding.kind for finding in plain.findings}
    assert found(keras.layers.GRU(WIDTH, recurrent_initializer=twin, **drawn)).healthy
    assert "exploding gradient over time" in found(keras.layers.GRU(WIDTH, recurrent_initializer=loud, **drawn))
