"""Profiles of one model under several weights stand side by side: one table, and one figure on common axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.probing.chains import plain_chain

import initlab
from initlab.core.errors import OptionError
from initlab.probing.profile import Profile
from initlab.report.probe.beside import beside_figure, beside_spec

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def pair() -> tuple[Profile, Profile]:
    net = torch.nn.Sequential(*(m for _ in range(11) for m in (torch.nn.Linear(32, 32), torch.nn.Tanh())))
    x = torch.from_numpy(np.random.default_rng(3).standard_normal((64, 32)).astype(np.float32))
    found = []
    for scheme in ("normal(std=0.01)", "glorot_normal"):
        initlab.initialize(net, scheme, seed=3)
        found.append(initlab.probe(net, x, histograms=True))
    return found[0], found[1]


def test_the_table_has_a_row_a_layer_and_the_verdicts(pair: tuple[Profile, Profile]) -> None:
    lines = str(pair[0].compare(glorot=pair[1])).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["before", "glorot"]
    assert lines[1].split() == ["verdict", "sick", "healthy"]
    start = next(i for i, line in enumerate(lines) if line.startswith("layer"))
    assert [line.split()[0] for line in lines[start + 1 : start + 12]] == [row.path for row in pair[0].rows]
    first = pair[0].rows[0].signal.measured
    assert float(lines[start + 1].split()[1]) == pytest.approx(first, rel=0.05)


def test_many_profiles_are_told_in_tables_of_three(pair: tuple[Profile, Profile]) -> None:
    text = str(pair[0].compare(pair[1], pair[1], fourth=pair[1]))
    assert text.count("verdict") == 2
    assert "after 2" in text
    assert max(map(len, text.splitlines())) <= 80


def test_all_histograms_have_one_axis_and_every_layer_has_one(pair: tuple[Profile, Profile]) -> None:
    """On it, weights of N(0, 0.01²) leave nothing of a bell behind the first layers."""
    figure = beside_figure(pair[0].compare(glorot=pair[1]))
    for values, panels in figure.panels.items():
        first = panels[0][1]
        assert {(p.low, p.step, len(p.shares)) for _, p in panels} == {(first.low, first.step, 60)}, values
        assert [p.layer for name, p in panels if name == "before"] == list(range(1, 12))
        assert all(8 / 9 < sum(p.shares) < 1.01 for _, p in panels)  # Chebyshev, at 3 root mean squares
    spread = {(name, p.layer): sum(share > 0 for share in p.shares) for name, p in figure.panels["activation"]}
    assert spread["before", 4] == 2  # the bins on both sides of zero
    assert spread["glorot", 4] > 20


def test_the_lines_of_the_figure_are_the_numbers_of_the_profiles(pair: tuple[Profile, Profile]) -> None:
    figure = beside_figure(pair[0].compare(glorot=pair[1]))
    told = {(p.name, p.layer): p.value for p in figure.points if p.quantity == "signal"}
    assert told["glorot", 3] == pytest.approx(pair[1].rows[2].signal.measured, rel=1e-3)
    assert len(beside_spec(figure)["vconcat"]) == 3


def test_a_picture_of_profiles_side_by_side_is_drawn(pair: tuple[Profile, Profile], tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    path = initlab.picture(pair[0].compare(glorot=pair[1]), tmp_path / "both.svg")
    drawn = path.read_text(encoding="utf-8")
    assert "glorot" in drawn
    with pytest.raises(OptionError, match="html"):
        initlab.picture(pair[0].compare(glorot=pair[1]), tmp_path / "both.html")


def test_profiles_of_other_layers_are_refused(pair: tuple[Profile, Profile]) -> None:
    other = Profile(plain_chain("relu", [8, 16, 3], var=2.0))
    with pytest.raises(OptionError, match="the layers of 'after' are not those of 'before'"):
        pair[0].compare(other)
    with pytest.raises(OptionError, match="nothing to stand beside"):
        pair[0].compare()


def test_names_are_data_in_a_notebook(pair: tuple[Profile, Profile]) -> None:
    shown = pair[0].compare(**{"<b>": pair[1]})._repr_html_()
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
