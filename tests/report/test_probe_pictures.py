"""A profile's pictures: the numbers that are drawn, and drawings that hold them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.probing.chains import plain_chain
from torch import nn

from initlab.api.probing import picture, probe
from initlab.core.errors import OptionError
from initlab.frameworks.torch.probing.jacobian import jacobian
from initlab.probing.profile import Profile
from initlab.report.probe.figures import ProbeFigure, model_phases, probe_figure
from initlab.report.probe.html import probe_html
from initlab.report.probe.singular import Link, chain_links, drawn_values, singular_figure
from initlab.report.probe.specs import probe_spec

ROWS = 64


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(*(m for _ in range(11) for m in (nn.Linear(32, 32), nn.Tanh())), nn.Linear(32, 32))
    for module in made:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.5 / math.sqrt(32))
            nn.init.normal_(module.bias, std=0.3)
    return made


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    return torch.randn(ROWS, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def profile(net: nn.Module, batch: torch.Tensor) -> Profile:
    return probe(net, batch, histograms=True)


@pytest.fixture(scope="module")
def figure(profile: Profile) -> ProbeFigure:
    return probe_figure(profile)


def test_signal_gradient_and_cosine_have_a_point_a_layer(figure: ProbeFigure) -> None:
    assert [lines.quantity for lines in figure.lines] == ["signal", "gradient", "cosine"]
    assert [p.layer for p in figure.lines[0].points] == list(range(1, 13))


def test_the_band_is_two_log_standard_deviations_and_the_bars_two_standard_errors(
    profile: Profile, figure: ProbeFigure
) -> None:
    number, point = profile.rows[5].signal, figure.lines[0].points[5]
    assert point.high / point.predicted == pytest.approx(math.exp(2 * number.scatter), rel=1e-4)
    assert math.log(point.error_high / point.measured) == pytest.approx(2 * number.stderr / number.measured, rel=1e-2)


def test_what_is_zero_has_no_place_on_a_logarithmic_axis() -> None:
    silent = plain_chain("relu", [8, 16, 16, 4], var=0.0)
    points = probe_figure(Profile(silent)).lines[0].points
    assert all(p.measured is None or p.measured > 0.0 for p in points)


def test_histograms_of_every_layer_stand_on_one_axis(profile: Profile, figure: ProbeFigure) -> None:
    for values in figure.values:
        axes = {(panel.low, panel.step, len(panel.shares)) for panel in values.panels}
        assert len(axes) == 1
        assert [panel.layer for panel in values.panels] == list(range(1, len(profile.rows) + 1))
        assert all(8 / 9 < sum(panel.shares) < 1.01 for panel in values.panels)  # Chebyshev, at 3 root mean squares


def test_values_that_have_died_are_a_spike_where_those_of_the_first_layer_are_a_bell(batch: torch.Tensor) -> None:
    net = nn.Sequential(*[part for _ in range(9) for part in (nn.Linear(32, 32), nn.Tanh())])
    for layer in net[::2]:
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    found = probe_figure(probe(net, batch, histograms=True)).values[0]
    filled = [sum(share > 0.0 for share in panel.shares) for panel in found.panels]
    assert filled[0] > 30
    assert max(filled[1:]) <= 12
    assert filled[-1] <= 2


def test_without_counted_entries_there_are_no_histograms(net: nn.Module, batch: torch.Tensor) -> None:
    assert probe_figure(probe(net, batch)).values == ()


def test_the_layers_stand_in_the_phase_diagram_at_their_own_weights_and_biases(profile: Profile) -> None:
    """Each std is known to 1 / sqrt(2 n) of itself: 32 x 32 weights, 32 biases; 5 sigma."""
    phases = model_phases(profile)
    assert (phases.f, phases.is_model, len(phases.points)) == ("tanh", True, 10)
    assert [p.sigma_w for p in phases.points] == pytest.approx([1.5] * 10, rel=5 / math.sqrt(2 * 32**2))
    assert [p.sigma_b for p in phases.points] == pytest.approx([0.3] * 10, rel=5 / math.sqrt(2 * 32))


def test_the_axes_of_a_phase_diagram_reach_beyond_its_points() -> None:
    phases = model_phases(Profile(plain_chain("tanh", [16, 64, 64, 64, 4], var=25.0, bias=3.0)))
    assert phases.sigma_w > max(p.sigma_w for p in phases.points) > 3.0
    assert phases.sigma_b > max(p.sigma_b for p in phases.points) > 1.0


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_net_with_norms_has_no_place_in_the_phase_diagram(norm: str) -> None:
    assert model_phases(Profile(plain_chain("tanh", [16, 32, 32, 32, 4], var=1.0, norm=norm))) is None


def test_the_jacobian_of_a_linear_chain_is_the_product_of_its_weights() -> None:
    chain = nn.Sequential(nn.Linear(3, 5), nn.Flatten(), nn.Linear(5, 2))
    wanted = (chain[2].weight @ chain[0].weight).detach().double().numpy()
    assert np.allclose(jacobian(chain, torch.randn(1, 3)), wanted, rtol=1e-5, atol=1e-7)


def test_the_jacobian_leaves_the_model_as_it_was() -> None:
    chain = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 2)).train()
    before = {name: value.clone() for name, value in chain.state_dict().items()}
    state = torch.get_rng_state()
    jacobian(chain, torch.randn(1, 3, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(before[name], value) for name, value in chain.state_dict().items())
    assert all(p.grad is None for p in chain.parameters())
    assert all(module.training for module in chain.modules())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("row", [torch.ones(2, 3), torch.ones(1, 3, dtype=torch.int64), torch.ones(3)])
def test_a_jacobian_by_anything_but_one_real_sample_is_refused(row: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="one sample of real numbers"):
        jacobian(nn.Linear(3, 2), row)


def test_nets_drawn_anew_hold_the_singular_values_of_a_fresh_net(
    profile: Profile, net: nn.Module, batch: torch.Tensor
) -> None:
    """The values of one net rise and fall together, so half of them may lie outside a band of 95 %."""
    found = singular_figure(profile, jacobian(net, batch[:1]))
    inside = [low <= s <= high for s, low, high in zip(found.measured, found.low, found.high, strict=True)]
    assert len(inside) > 10
    assert sum(inside) >= 0.5 * len(inside)


def test_the_mean_square_of_drawn_singular_values_is_that_of_the_weights() -> None:
    """E s^2 of a 1 x n product of two normal layers of mean squares a, b over m units is n m a b."""
    links = [Link("a", (4, 8), 0.25), Link("b", (1, 4), 0.5)]
    squares = [float(drawn_values(links, size=1.0, seed=seed)[0] ** 2) for seed in range(400)]
    mean, error = float(np.mean(squares)), float(np.std(squares)) / math.sqrt(400)
    assert abs(mean - 8 * 4 * 0.25 * 0.5) < 5 * error


def test_a_model_that_is_no_chain_has_no_theory_of_its_singular_values() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.outer(x + torch.tanh(self.inner(x)))

    skip, x = Skip(), torch.randn(8, 4)
    found = probe(skip, x)
    assert chain_links(found) == ()
    assert singular_figure(found, jacobian(skip, x[:1])).predicted == ()


def test_the_picture_names_every_axis(profile: Profile, net: nn.Module, batch: torch.Tensor) -> None:
    singular = singular_figure(profile, jacobian(net, batch[:1]))
    said = json.dumps(probe_spec(probe_figure(profile, singular=singular)), ensure_ascii=False)
    for title in ("Weighted layer, in order of use", "Signal: E[z²]", "Gradient: E[(∂L/∂z)²]", "σ_w, std", "σ_b, std",
                  "Cosine of two samples", "Singular value of the input-output", "Share of entries"):  # fmt: skip
        assert title in said


def test_a_file_is_a_drawing_or_a_page_by_its_ending(profile: Profile, tmp_path: Path) -> None:
    starts = {"a.svg": b"<svg", "a.html": b"<!DOCTYPE html>"}
    for name, start in starts.items():
        assert picture(profile, tmp_path / name).read_bytes().startswith(start)


def test_another_ending_is_refused_and_nothing_is_written(profile: Profile, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"'a\.pdf' does not end in"):
        picture(profile, tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_markup_is_text_on_the_page(profile: Profile) -> None:
    evil = Profile(replace(profile.evidence, model="</script><img src=x>"))
    page = probe_html(evil, evil.diagnose(), probe_figure(evil))
    assert "<img src=x" not in page
    assert "&lt;/script&gt;&lt;img src=x&gt;" in page
