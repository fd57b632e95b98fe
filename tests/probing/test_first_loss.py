"""The first loss is judged however it comes, in every framework; what is off is said: the head, targets or inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.probing.first_loss_nets import FRAMEWORKS, batch_of, losses, loud, net

import initlab
from initlab.probing.diagnosis import Diagnosis

RNG = np.random.default_rng(4)
ROWS = RNG.standard_normal((90, 6)).astype(np.float32)
CLASSES = np.arange(90) % 4
NUMBERS = RNG.normal(0.0, 1.0, (90, 4)).astype(np.float32)
SILENT = {"output scale", "unscaled targets", "unscaled inputs", "equal samples", "constant columns"}


def kinds(found: Diagnosis, severity: str = "alarm") -> set[str]:
    return {finding.kind for finding in found.findings if finding.severity == severity}


def by_way(framework: str, way: str, model: Any, classes: np.ndarray[Any, Any] = CLASSES) -> Diagnosis:
    """The diagnosis of a model whose cross entropy comes by ``targets``, by ``loss=`` or from inside."""
    if way == "targets":
        return initlab.probe(model, ROWS, classes).diagnose()
    if way == "loss":
        return initlab.probe(model, ROWS, classes, losses(framework)["entropy"]).diagnose()
    return initlab.probe(model, batch_of(framework, ROWS, classes)).diagnose()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("way", ["targets", "loss", "pair", "dict", "scalar"])
def test_a_loud_head_is_found_however_the_loss_comes(framework: str, way: str) -> None:
    model = net(framework, returns=way if way in ("pair", "dict", "scalar") else "logits")
    assert not by_way(framework, way, model).alarms
    found = by_way(framework, way, loud(framework, model))
    finding = next(one for one in found.alarms if one.kind == "output scale")
    assert "a guess costs ln 4 = 1.39" in finding.what
    assert "smaller head" in finding.fix
    assert finding.scheme == "zeros"


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("returns", ["scalar", "losses"])
def test_a_model_that_returns_losses_alone_is_judged_by_its_head(framework: str, returns: str) -> None:
    profile = initlab.probe(net(framework, returns=returns), batch_of(framework, ROWS, CLASSES))
    assert profile.evidence.reading.loss > 0.0
    guess, loss = profile.evidence.reading.guess, profile.evidence.reading.loss
    assert guess is not None
    # The second loss of two is twice the first, and no head's own: it counts as it is.
    assert guess.value == pytest.approx(math.log(4) + (2.0 * loss / 3.0 if returns == "losses" else 0.0), rel=1e-5)
    assert ("the sum of the model's 2 losses was followed" in profile.evidence.notes) == (returns == "losses")
    assert not profile.diagnose().alarms


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("way", ["targets", "loss", "pair"])
def test_labels_of_one_to_ninety_are_no_alarm(framework: str, way: str) -> None:
    """Outputs that know the shares of the classes would cost 0.06 of ln 4; nobody starts there."""
    model = net(framework, returns="pair" if way == "pair" else "logits")
    assert not by_way(framework, way, model, (np.arange(90) == 7).astype(np.int64)).alarms


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("way", ["targets", "loss"])
@pytest.mark.parametrize(
    ("scale", "shift", "says"),
    [(1.0, 0.0, ""), (1e-3, 0.0, "scale the targets"), (1.0, 100.0, "scale the targets"), (1e5, 3e5, "")],
)
def test_targets_out_of_scale_are_found_and_named(
    framework: str, way: str, scale: float, shift: float, says: str
) -> None:
    loss = losses(framework)["square"] if way == "loss" else None
    found = initlab.probe(net(framework), ROWS, scale * NUMBERS + np.float32(shift), loss).diagnose()
    alarms = kinds(found)
    assert ("output scale" in alarms) == bool(says)
    assert ("unscaled targets" in alarms) == (abs(shift) > 10.0)
    if says:
        finding = next(one for one in found.alarms if one.kind == "output scale")
        assert finding.where == ("targets",)
        assert says in finding.fix


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("inputs", "severity"),
    [
        (ROWS, ""),
        (np.abs(ROWS) / 4.0, ""),
        (np.abs(ROWS) * 80.0, "alarm"),
        (ROWS * np.float32([1.0, 1e4, 1.0, 1.0, 1.0, 1.0]), "alarm"),
        (ROWS * np.float32(1e-3), "alarm"),
        (ROWS * 15.0, "note"),
    ],
    ids=["standard", "shares", "pixels", "one column", "tiny", "large"],
)
def test_inputs_out_of_scale_are_named_first(framework: str, inputs: Any, severity: str) -> None:
    found = initlab.probe(net(framework), inputs, CLASSES).diagnose()
    told = [finding for finding in found.findings if finding.kind == "unscaled inputs"]
    assert [finding.severity for finding in told] == ([severity] if severity else [])
    if severity == "alarm":
        assert found.findings[0].kind == "unscaled inputs"
        assert all("head" not in finding.fix for finding in found.alarms)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_equal_samples_and_constant_columns_are_named(framework: str) -> None:
    same = np.repeat(ROWS[:1], 90, axis=0)
    assert "equal samples" in initlab.probe(net(framework), same, CLASSES).diagnose()
    column = ROWS.copy()
    column[:, 2] = 0.5
    found = initlab.probe(net(framework), column, CLASSES).diagnose()
    assert kinds(found, "note") & SILENT == {"constant columns"}
    column[:, 2] = 0.0  # as the corners of a picture
    assert not {finding.kind for finding in initlab.probe(net(framework), column, CLASSES).diagnose().findings} & SILENT


def test_a_network_of_large_pixels_behind_a_norm_has_a_note() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 40), torch.nn.BatchNorm1d(40), torch.nn.ReLU(), torch.nn.Linear(40, 4)
    )
    found = initlab.probe(model, torch.from_numpy(ROWS) * 80, torch.from_numpy(CLASSES)).diagnose()
    assert "unscaled inputs" in kinds(found, "note")
    assert not found.alarms


def test_a_softmax_of_classes_is_no_attention() -> None:
    """Pixels of 0 to 255 into Dense(4, "softmax"): the inputs are off, and nothing else."""
    keras = pytest.importorskip("keras")
    torch = pytest.importorskip("torch")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "softmax")])
    head = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Softmax(-1))
    torch.nn.init.normal_(head[0].weight, std=0.5)
    for one in (model, head):
        found = initlab.probe(one, np.abs(ROWS) * 200).diagnose()
        assert found.findings[0].kind == "unscaled inputs"
        assert not {finding.kind for finding in found.findings} & {"attention at its floor", "attention at its ceiling"}


def test_gpt2_with_labels_is_judged_by_the_uniform_guess() -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    for std, sick in ((0.02, False), (1.0, True)):
        config = transformers.GPT2Config(
            n_layer=2, n_embd=64, n_head=4, vocab_size=997, n_positions=32, initializer_range=std,
            bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(2)
            model = transformers.GPT2LMHeadModel(config)
            ids = torch.randint(0, 997, (1, 8))
        profile = initlab.probe(model, {"input_ids": ids, "labels": ids})
        guess = profile.evidence.reading.guess
        assert guess is not None
        assert guess.value == pytest.approx(math.log(997))
        assert ("output scale" in kinds(profile.diagnose())) == sick
