"""A model is probed without a batch: an input is guessed where the model tells it, and no guess ends in success."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import initlab
from initlab.cli.main import main
from initlab.core.errors import InitlabError, OptionError

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
nn = torch.nn

# Keras' own, of arrays of JAX that it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Tokens(nn.Module):
    """A table of words and one of places, before attention."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(90, 12), nn.Embedding(17, 12)
        self.layer, self.head = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True), nn.Linear(12, 90)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(self.words(x) + self.places(torch.arange(x.shape[1]))))


class Steps(nn.Module):
    """A recurrent layer, which would take rows as one sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.past, self.head = nn.LSTM(7, 9, batch_first=True), nn.Linear(9, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.past(x)[0][..., -1, :])


class Both(nn.Module):
    """Two inputs: numbers and tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.dense, self.head = nn.Embedding(50, 8), nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: Any, tokens: Any) -> Any:
        return self.head(torch.relu(self.dense(x) + self.table(tokens).mean(1)))


def dense() -> Any:
    return nn.Sequential(nn.Linear(13, 40), nn.ReLU(), nn.Linear(40, 3))


def picture() -> Any:
    return nn.Sequential(nn.Conv2d(5, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 26 * 26, 3))


def keras_picture() -> Any:
    side = keras.layers
    return keras.Sequential(
        [keras.Input((12, 9, 2)), side.Conv2D(4, 3, activation="relu"), side.Flatten(), side.Dense(3)]
    )


def keras_tokens() -> Any:
    return keras.Sequential(
        [keras.Input((11,)), keras.layers.Embedding(70, 6), keras.layers.Flatten(), keras.layers.Dense(3)]
    )


def keras_named() -> Any:
    given = {"price": keras.Input((4,), name="price"), "age": keras.Input((2,), name="age")}
    return keras.Model(given, keras.layers.Dense(3)(keras.layers.Concatenate()([given["price"], given["age"]])))


GUESSED: dict[Callable[[], Any], str] = {
    dense: "shape (13,), standard normal",
    picture: "shape (5, 28, 28), standard normal",
    Tokens: "shape (16,), whole numbers below 90",
    Steps: "shape (16, 7), standard normal",
    keras_picture: "shape (12, 9, 2), standard normal",
    keras_tokens: "shape (11,), whole numbers below 70",
    keras_named: "shape (2,), standard normal; shape (4,), standard normal",
}


@pytest.mark.parametrize(("build", "words"), GUESSED.items())
def test_an_input_is_guessed_and_told_and_ends_in_no_success(build: Callable[[], Any], words: str) -> None:
    diagnosis = initlab.probe(build()).diagnose()
    assert diagnosis.guessed.endswith(words)
    assert not diagnosis.healthy
    assert diagnosis.verdict == "not judged"
    with pytest.raises(InitlabError, match=r"input was guessed.*give a batch"):
        initlab.probe(build()).assert_healthy()


def test_a_guess_hides_no_sickness_and_a_batch_of_ones_own_is_judged_as_ever() -> None:
    net = dense()
    assert initlab.probe(net, torch.randn(64, 13)).diagnose().verdict == "healthy"
    initlab.initialize(net, "zeros", seed=3)
    assert initlab.probe(net).diagnose().verdict == "sick"


def test_what_cannot_be_guessed_is_answered_with_the_shape_to_give() -> None:
    with pytest.raises(OptionError, match=r"takes 5 features, .* give a batch, or .* --input 5, once for each input"):
        initlab.probe(Both())


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "made_up_nets", sys.modules[__name__])
    return "made_up_nets"


def test_shapes_that_are_given_are_no_guess(factory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", f"{factory}:Both", "--input", "5", "--input", "4", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["diagnosis"]["verdict"] == "healthy"
    assert "probed with 64 inputs of shape (5,), standard normal; shape (4,), whole numbers below 50" in told.err
    assert main(["probe", f"{factory}:dense"]) == 3
    assert "not judged, for its input was guessed" in capsys.readouterr().out


@pytest.mark.parametrize("shape", ["", "3,", "0", "-3", "3x4", "1e3"])
def test_what_is_no_shape_is_refused(factory: str, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", f"{factory}:dense", "--input", shape]) == 2
    assert "is no shape (--input)" in capsys.readouterr().err


class Mine(keras.layers.Layer):
    """A class of the user's."""

    def call(self, x: Any) -> Any:
        return x


def mine(x: Any) -> Any:
    return x


def saved(path: Path, *layers: Any) -> str:
    keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3, activation="gelu")]).save(path / "net.keras")
    return str(path / "net.keras")


def test_a_keras_file_is_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(tmp_path, keras.layers.Dense(20, activation="relu"), keras.layers.Dropout(0.3))
    assert main(["probe", file]) == 3
    assert "64 inputs of shape (4,), standard normal" in " ".join(capsys.readouterr().out.split())
    assert main(["plan", file, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["parameters"]) == 4


def test_code_and_classes_of_the_users_in_a_keras_file_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(5, activation=mine), Mine())
    assert main(["plan", file]) == 2
    told = capsys.readouterr().err
    assert "a Lambda layer, which is code, the custom function mine, the custom class Mine" in told
    assert told.rstrip().endswith("give the file that makes the model, as in train.py:build")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"cos\nsystem\n(S'touch ran'\ntR."])
def test_what_is_no_keras_file_is_refused(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.keras").write_bytes(content)
    assert main(["plan", str(tmp_path / "net.keras")]) == 2
    assert "it is no file of Keras 3" in capsys.readouterr().err


def test_weights_stand_beside_a_factory(factory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.numpy import save_file

    rng = np.random.default_rng(5)
    weights = {"0.weight": rng.normal(size=(40, 13)), "2.weight": rng.normal(size=(3, 40)), "0.bias": np.ones(40)}
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    file = tmp_path / "net.safetensors"
    save_file(weights, file)
    assert main(["lock", f"{factory}:dense", "--weights", str(file), "--out", str(tmp_path / "lock.json")]) == 2
    assert "lacks 1 parameter, 2.bias" in capsys.readouterr().err
    save_file({**weights, "2.bias": np.zeros(3, np.float32)}, file)
    assert main(["lock", f"{factory}:dense", "--weights", str(file), "--out", str(tmp_path / "lock.json")]) == 0
    held = ["--lock", str(tmp_path / "lock.json"), "--exact"]
    assert main(["audit", f"{factory}:dense", "--weights", str(file), *held]) == 0
    assert main(["audit", f"{factory}:dense", *held]) == 3
    capsys.readouterr()
    assert main(["probe", str(file)]) == 2
    assert f"train.py:build --weights {file}" in capsys.readouterr().err
