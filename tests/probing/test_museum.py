"""The museum: every planted fault is found, every healthy twin is silent, and a reader's copy is judged."""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest

import initlab
from initlab.cli.main import main
from initlab.museum.exhibits import DEPOT, EXHIBITS, Exhibit, exhibit
from initlab.museum.visit import Twin, built_twin, judged, source_of
from initlab.probing.diagnosis import Diagnosis

torch = pytest.importorskip("torch")

EVERY = (*EXHIBITS, *DEPOT)
IN_KERAS = tuple(one for one in EVERY if one.keras)


@cache
def diagnosed(number: int, twin: Twin, framework: str = "torch") -> Diagnosis:
    one = exhibit(number)
    return initlab.probe(built_twin(one, twin, framework=framework), *one.batch()).diagnose()


TRAINS = {"depthwise", "cloned_layers"}


def ids(one: Exhibit) -> str:
    return one.name


@pytest.mark.parametrize("one", EVERY, ids=ids)
def test_every_planted_fault_is_found(one: Exhibit) -> None:
    found = diagnosed(one.number, "broken")
    assert [kind for kind in one.finds if kind not in found] == []
    # What trains all the same is found, and no alarm: E[z²] falls to 0.006 over four layers without a bias, and copies
    # behind each other part at the first step.
    assert found.healthy == (one.name in TRAINS)


@pytest.mark.parametrize("one", EVERY, ids=ids)
def test_every_healthy_twin_is_silent(one: Exhibit) -> None:
    assert diagnosed(one.number, "mended").alarms == ()


@pytest.mark.parametrize("one", IN_KERAS, ids=ids)
def test_every_planted_fault_is_found_in_keras(one: Exhibit) -> None:
    needs_keras()
    found = diagnosed(one.number, "broken", "keras")
    assert [kind for kind in one.finds if kind not in found] == []
    # What trains all the same is found, and no alarm: E[z²] falls to 0.006 over four layers without a bias, and copies
    # behind each other part at the first step.
    assert found.healthy == (one.name in TRAINS)


@pytest.mark.parametrize("one", IN_KERAS, ids=ids)
def test_every_healthy_twin_is_silent_in_keras(one: Exhibit) -> None:
    needs_keras()
    assert diagnosed(one.number, "mended", "keras").alarms == ()


def needs_keras() -> None:
    pytest.importorskip("keras")
    if find_spec("initlab.frameworks.keras.probing.capture") is None:
        pytest.skip("Keras models are not probed here")


def test_the_museum_has_twelve_exhibits_numbered_from_one() -> None:
    assert [one.number for one in EXHIBITS] == list(range(1, 13))
    assert [one.number for one in EVERY] == list(range(1, len(EVERY) + 1))


@pytest.mark.parametrize("one", EXHIBITS, ids=ids)
def test_a_story_has_three_sentences(one: Exhibit) -> None:
    assert one.story.replace("0.05 ", "").count(". ") == 2
    assert one.story.endswith(".")


@pytest.mark.parametrize("one", EVERY, ids=ids)
def test_the_twins_have_the_same_architecture(one: Exhibit) -> None:
    if one.name in ("sigmoid_stack",):  # its remedy is another activation
        return
    broken, mended = (built_twin(one, twin) for twin in ("broken", "mended"))
    assert [p.shape for p in broken.parameters()] == [p.shape for p in mended.parameters()]  # type: ignore[attr-defined]


def test_an_exhibit_is_the_same_at_every_call_and_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (built_twin(exhibit(4), "broken") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))  # type: ignore[attr-defined]
    assert all(np.array_equal(a, b) for a, b in zip(exhibit(6).batch(), exhibit(6).batch(), strict=True))


def test_the_code_of_an_exhibit_is_shown_with_all_that_it_uses() -> None:
    code = source_of(exhibit(8))
    assert code.startswith("def broken_unscaled_projection()")
    assert [code.count(f"class {name}(") for name in ("TinyGpt", "GptBlock", "GptAttention", "GptMlp")] == [1] * 4
    assert "mended" not in code


# A reader's copy


def test_a_healthy_twin_is_judged_mended_and_the_broken_one_is_not() -> None:
    assert judged(exhibit(9), diagnosed(9, "mended")).mended
    verdict = judged(exhibit(9), diagnosed(9, "broken"))
    assert not verdict.mended
    assert verdict.remaining == ("dead units",)


def test_a_copy_with_another_fault_in_place_of_the_first_is_not_mended() -> None:
    verdict = judged(exhibit(9), diagnosed(2, "broken"))
    assert verdict.remaining == ()
    assert not verdict.mended
    assert "something else took its place" in str(verdict)


COPY = """
import torch
def build():
    torch.manual_seed(0)
    layers = []
    for i in range(3):
        linear = torch.nn.Linear(64, 64)
        torch.nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        torch.nn.init.constant_(linear.bias, {bias})
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(64, 10))
"""


@pytest.mark.parametrize(("bias", "code", "said"), [(0.0, 0, "mended: exhibit 9"), (-3.0, 3, "not mended: still dead")])
def test_check_tells_by_its_exit_code_whether_the_copy_is_mended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path, bias: float, code: int, said: str
) -> None:
    name = f"copy_of_nine_{code}"
    (tmp_path / f"{name}.py").write_text(COPY.format(bias=bias))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert main(["museum", "check", "9", f"{name}:build"]) == code
    assert capsys.readouterr().out.startswith(said)


def test_list_names_every_exhibit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["museum", "list"]) == 0
    out = capsys.readouterr().out
    assert [one.title for one in EXHIBITS if one.title not in out] == []
    assert max(map(len, out.splitlines())) <= 80


def test_show_tells_story_code_diagnosis_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["museum", "show", "2"]) == 0
    out = capsys.readouterr().out
    for part in ("All weights have one value", "def broken_constant()", "ALARM  equal units", "How to mend it"):
        assert part in out


def test_show_and_list_give_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["museum", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 12
    assert main(["museum", "show", "9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["diagnosis"]["healthy"] is False


def test_a_number_without_an_exhibit_is_one_line_with_the_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["museum", "show", "99"]) == 2
    assert capsys.readouterr().err == ("initlab: error: there is no exhibit 99: give 1 to 12: initlab museum list\n")
