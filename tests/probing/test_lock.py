"""Locks: what is written down of a model, and what a model is held to later."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import initlab
from initlab.api.auditing import audit, lock
from initlab.auditing.locking import read_lock
from initlab.core.errors import InitlabError, OptionError


def net(seed: int = 0, *, width: int = 200) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Embedding(50, 40, padding_idx=1), nn.Linear(40, width), nn.LayerNorm(width), nn.Linear(width, width)
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "initlab.lock.json"


def test_a_lock_file_holds_the_lock(file: Path) -> None:
    made = lock(net(), file)
    assert read_lock(file.read_text(), where="") == made
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_lock_knows_the_families(file: Path) -> None:
    model = nn.ModuleDict(
        {name: nn.Linear(100, 100, bias=False) for name in ("normal", "uniform", "cut", "q", "level")}
    )
    initlab.initialize(
        model,
        {
            "normal.*": "normal(std=0.02)",
            "uniform.*": "he_uniform",
            "cut.*": "truncated_normal(std=0.02)",
            "q.*": "orthogonal(gain=2.0)",
            "level.*": "constant(value=0.5)",
        },
        seed=3,
    )
    made = lock(model, None)
    assert {p.name.split(".")[0]: p.laws[0].family for p in made.parameters} == {
        "normal": "normal",
        "uniform": "uniform",
        "cut": "truncated_normal",
        "q": "orthogonal",
        "level": "constant",
    }
    assert made.seed == 3


def test_the_same_numbers_pass_at_both_levels(file: Path) -> None:
    lock(net(), file)
    assert audit(net(), file).ok
    assert audit(net(), str(file), exact=True).ok


@pytest.mark.parametrize("seed", range(1, 9))
def test_another_draw_of_the_same_laws_passes_but_not_to_the_bit(seed: int, file: Path) -> None:
    lock(net(), file)
    found = audit(net(seed), file)
    assert found.ok, str(found)
    assert [entry.native for entry in audit(net(seed), file, exact=True).wrong] == [
        "0.weight",
        "1.weight",
        "1.bias",
        "3.weight",
        "3.bias",
    ]


def test_another_law_is_found(file: Path) -> None:
    lock(net(), file)
    model = net(1)
    with torch.no_grad():
        model[3].weight.mul_(1.1)
        model[2].weight.fill_(0.9)
        nn.init.normal_(model[1].weight, std=1 / math.sqrt(120))
    assert {entry.native for entry in audit(model, file).wrong} == {"1.weight", "2.weight", "3.weight"}


def test_numbers_of_no_known_family_pass_in_another_draw_and_not_at_another_scale(file: Path) -> None:
    model = initlab.initialize(nn.Linear(200, 100, bias=False), "sparse(sparsity=0.9, std=1.0)", seed=0)
    assert lock(model, file).parameters[0].laws[0].family == "other"
    assert audit(initlab.initialize(model, "sparse(sparsity=0.9, std=1.0)", seed=1), file).ok
    assert not audit(initlab.initialize(model, "sparse(sparsity=0.9, std=1.2)", seed=1), file).ok


def test_orthogonal_blocks_are_locked_one_by_one(file: Path) -> None:
    model = initlab.initialize(nn.LSTM(32, 32), {"*hh*": "orthogonal", "*ih*": "he_normal"}, seed=0)
    made = lock(model, file)
    held = next(p for p in made.parameters if p.name == "weight_hh_l0")
    assert [law.family for law in held.laws] == ["orthogonal"] * 4
    assert audit(initlab.reset(model, seed=1), file).ok
    with torch.no_grad():
        model.weight_hh_l0[:32] *= 1.01
    assert [entry.native for entry in audit(model, file).wrong] == ["weight_hh_l0"]


def test_a_lost_tie_is_found(file: Path) -> None:
    model = nn.ModuleDict({"a": nn.Linear(30, 30), "b": nn.Linear(30, 30)})
    model["b"].weight = model["a"].weight
    lock(model, file)
    assert audit(model, file, exact=True).ok
    model["b"].weight = nn.Parameter(model["a"].weight.detach().clone())
    assert [entry.native for entry in audit(model, file).wrong] == ["b.weight"]


def test_a_lock_of_another_model_is_refused_with_the_first_difference(file: Path) -> None:
    lock(net(), file)
    larger = net()
    larger.register_parameter("extra", nn.Parameter(torch.zeros(3)))
    for model, words in (
        (net(width=100), r"it has '1/weight' of shape \(200, 40\), the model has shape \(100, 40\): make a lock of"),
        (nn.Linear(3, 3), r"it has '0/weight' of shape \(50, 40\), the model has no such parameter"),
        (larger, r"it has no 'extra', the model has one of shape \(3,\)"),
    ):
        with pytest.raises(OptionError, match=f"the lock is of another model: {words}"):
            audit(model, file)


def test_a_model_with_nan_is_not_locked_and_no_file_is_left(file: Path) -> None:
    model = net()
    with torch.no_grad():
        model[1].weight[0, 0] = math.nan
    with pytest.raises(InitlabError, match=r"a parameter with NaN or infinities is not locked \(1.weight\)"):
        lock(model, file)
    assert not file.exists()


def _torn(text: str) -> str:
    return text[: len(text) // 2]


def _newer(text: str) -> str:
    return json.dumps({**json.loads(text), "version": 2})


def _nan(text: str) -> str:
    data = json.loads(text)
    data["parameters"][1]["laws"][0]["std"] = math.nan
    return json.dumps(data)


def _short(text: str) -> str:
    data = json.loads(text)
    del data["parameters"][0]["shape"]
    return json.dumps(data)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_torn, "not a lock file: "),
        (_newer, "a lock file of version 2, this initlab reads 1"),
        (_nan, "a damaged lock file: ValueError a number is not finite"),
        (_short, "a damaged lock file: KeyError 'shape'"),
        (lambda text: "[]", "not a lock file of initlab"),
    ],
)
def test_a_spoiled_lock_file_is_one_line(spoil, words: str, file: Path) -> None:
    lock(net(), file)
    file.write_text(spoil(file.read_text()))
    with pytest.raises(OptionError, match=words) as raised:
        audit(net(), file)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be written"):
        lock(net(), tmp_path / "gone" / "x.json")


def test_exact_without_a_lock_is_refused() -> None:
    with pytest.raises(OptionError, match="only a lock has digests"):
        audit(net(), "torch", exact=True)


def test_a_keras_model_is_locked_alike(file: Path) -> None:
    keras = pytest.importorskip("keras")

    def build(seed: int):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((12,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(30)])

    assert lock(build(0), file).framework == "keras"
    assert audit(build(1), file).ok
    assert len(audit(build(1), file, exact=True).wrong) == 2
