"""A model's own profile on its way into the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from initlab.cli.main import main
from initlab.core.signals.readings import BINS


def test_a_probe_with_histograms_writes_them_as_json() -> None:
    torch = pytest.importorskip("torch")
    import initlab

    net = torch.nn.Sequential(torch.nn.Linear(7, 9), torch.nn.Tanh(), torch.nn.Linear(9, 3))
    initlab.initialize(net, "glorot_normal", seed=4)
    x = torch.from_numpy(np.asarray(np.random.default_rng(1).normal(size=(20, 7)), np.float32))
    y = torch.arange(20) % 3
    found = json.loads(json.dumps(initlab.probe(net, x, y, histograms=True).to_dict()))["histograms"]
    assert [one["path"] for one in found["signal"]] == [one["path"] for one in found["gradient"]] == ["0", "2"]
    for kind in ("signal", "gradient"):
        for one, units in zip(found[kind], (9, 3), strict=True):
            assert len(one["counts"]) == BINS
            assert sum(one["counts"]) == 20 * units
            assert one["low"] == -one["high"] < 0
    with torch.no_grad():
        z = net[0](x)
    assert found["signal"][0]["high"] == pytest.approx(5 * float(z.square().mean().sqrt()), rel=1e-5)
    assert initlab.probe(net, x, y).to_dict()["histograms"] == {"signal": [], "gradient": []}


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"profile": {"layers": []}}', '"rows"', "\x00\xff"])
def test_a_file_without_a_profile_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(text.encode("latin-1"))
    assert main(["web", "--no-browser", "--profile", str(path)]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "initlab probe package.module:build --json" in told.err


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--no-browser", "--profile", str(tmp_path / "gone.json")]) != 0
    assert "gone.json" in capsys.readouterr().err


FACTORY = """
import torch
def build():
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    return net, torch.randn(16, 5), torch.arange(16) % 3
"""


def test_the_json_of_the_command_holds_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "own_net_for_the_page.py").write_text(FACTORY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    main(["probe", "own_net_for_the_page:build", "--json", "--seed", "3"])
    profile = json.loads(capsys.readouterr().out)["profile"]
    assert [sum(one["counts"]) for one in profile["histograms"]["signal"]] == [16 * 6, 16 * 3]
    assert [row["path"] for row in profile["rows"]] == ["0", "2"]
