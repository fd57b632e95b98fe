"""``auto`` on tables that feed a layer directly: E[z^2] is about 1 in the layer behind them, in PyTorch and Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.frameworks.keras.tensors import to_numpy

WORDS, LENGTH, WIDTH, HIDDEN = 400, 12, 48, 256
TOKENS = np.random.default_rng(0).integers(0, WORDS, (200, LENGTH))


class Classifier(nn.Module):
    """Words, perhaps with their places, and two layers."""

    def __init__(self, *, places: bool, flat: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH) if places else None
        self.hidden = nn.Linear(WIDTH * LENGTH if flat else WIDTH, HIDDEN)
        self.head = nn.Linear(HIDDEN, 3)
        self.flat = flat

    def embedded(self, x: torch.Tensor) -> torch.Tensor:
        h = self.words(x)
        h = h if self.places is None else h + self.places(torch.arange(LENGTH))
        return h.flatten(1) if self.flat else h

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.hidden(self.embedded(x))))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("places", [False, True])
def test_the_layer_behind_tables_has_a_signal_of_one_in_torch(places: bool, flat: bool) -> None:
    """Within 10 %: the mean of 256 squares of a normal strays by sqrt(2 / 256) = 9 %, the rows of a table by less."""
    model = Classifier(places=places, flat=flat)
    bound = initlab.plan(model, "auto", example=torch.tensor(TOKENS))
    bound.apply(0)
    with torch.no_grad():
        z = model.hidden(model.embedded(torch.tensor(TOKENS)))
    assert float((z**2).mean()) == pytest.approx(1.0, abs=5 * np.sqrt(2 / HIDDEN))
    assert {entry.std for entry in bound if entry.param.role == "embedding"} == {1.0}
    assert bound.plan.notes == ()


@pytest.mark.parametrize("places", [False, True])
def test_the_layer_behind_tables_has_a_signal_of_one_in_keras(places: bool) -> None:
    x = keras.Input((LENGTH,), dtype="int32")
    h = keras.layers.Embedding(WORDS, WIDTH)(x)
    if places:
        h = h + keras.layers.Embedding(LENGTH, WIDTH)(x % LENGTH)
    z = keras.layers.Dense(HIDDEN)(keras.layers.Flatten()(h))
    model = keras.Model(x, keras.layers.Dense(3)(keras.layers.ReLU()(z)))
    initlab.initialize(model, "auto", seed=0)
    held = to_numpy(keras.Model(x, z)(TOKENS.astype("int32")))
    assert float((held**2).mean()) == pytest.approx(1.0, abs=5 * np.sqrt(2 / HIDDEN))


def test_a_scaled_table_hands_its_scale_on() -> None:
    """Vaswani et al. 2017, section 3.4, multiply by sqrt(width): E[x^2] = 48."""

    class Scaled(Classifier):
        def embedded(self, x: torch.Tensor) -> torch.Tensor:
            return self.words(x) * WIDTH**0.5

    planned = initlab.plan(Scaled(places=False, flat=False), "auto", example=torch.tensor(TOKENS))
    assert planned.plan["hidden.weight"].std == pytest.approx(1 / WIDTH)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.RNN])
def test_a_table_that_feeds_a_recurrent_layer_has_std_one(kind: Any) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.rnn, self.head = nn.Embedding(WORDS, WIDTH), kind(WIDTH, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.rnn(self.words(x))[0][:, -1])

    assert initlab.plan(Recurrent(), "auto", example=torch.tensor(TOKENS)).plan["words.weight"].std == 1.0


def test_a_frozen_table_is_kept_and_its_size_is_said_to_be_taken_for_one() -> None:
    model = Classifier(places=False, flat=True)
    model.words.weight.requires_grad_(False)
    planned = initlab.plan(model, "auto").plan
    assert planned["words.weight"].action == "keep"
    assert any("'words.weight' is not auto's to draw" in note for note in planned.notes)


def test_a_table_that_is_also_the_head_says_what_its_small_rows_do() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.rnn = nn.Embedding(WORDS, WIDTH), nn.LSTM(WIDTH, WIDTH)
            self.head = nn.Linear(WIDTH, WORDS, bias=False)
            self.head.weight = self.words.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.rnn(self.words(x))[0])

    planned = initlab.plan(Tied(), "auto", example=torch.tensor(TOKENS)).plan
    assert planned["words.weight"].std == 0.02
    assert any("is the head too" in note and "0.0004" in note for note in planned.notes)


def test_a_table_that_a_norm_takes_keeps_the_rule_of_embeddings() -> None:
    model = nn.Sequential(nn.Embedding(WORDS, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3))
    assert initlab.plan(model, "auto").plan["0.weight"].std == 0.02


def test_a_model_that_was_not_followed_keeps_the_rule_of_embeddings() -> None:
    """Its tables may feed a residual stream that nobody saw."""

    class Asking(Classifier):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if int(x.max()) > 3 else x + 1)

    assert initlab.plan(Asking(places=False, flat=True), "auto").plan["words.weight"].std == 0.02
