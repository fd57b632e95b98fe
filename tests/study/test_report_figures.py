from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from tests.study.report_data import large_study, small_study

from initlab.core.training.protocol import Histogram
from initlab.report.drawing.palette import line_style
from initlab.report.study import figures, histogram_figures, layer_specs, specs
from initlab.study.analysis import analyse


def _histogram(values, *, epoch=0, layer="0", quantity="weight"):
    counts, edges = np.histogram(values, bins=64)
    return Histogram(epoch, layer, quantity, float(edges[0]), float(edges[-1]), counts.astype(np.int32))


def test_a_curve_is_the_mean_and_the_percentiles_of_its_seeds():
    study = small_study(seeds=11)
    records = [
        replace(r, curves={**r.curves, "test_accuracy": np.full(51, r.spec.seed / 10)})
        for r in study.records
        if r.spec.scheme == "he_normal"
    ]
    curve = figures.score_figure(replace(study.design, schemes=("he_normal",)), records).curves[0]
    # Seeds score 0.0, 0.1, ..., 1.0: their 10th percentile is the second, their 90th the last but one.
    assert (curve.low[-1], curve.mean[-1], curve.high[-1]) == pytest.approx((0.1, 0.5, 0.9))


def test_train_loss_has_no_value_at_initialization():
    study = small_study()
    curve = figures.loss_figure(study.design, study.records).curves[3]
    assert curve.epochs[0] == 0
    assert curve.mean[0] is None
    assert curve.mean[1] is not None


def test_a_diverged_run_leaves_the_mean_where_it_diverged():
    study = small_study(seeds=3)
    only = [r for r in study.records if r.spec.scheme == "normal(std=0.05)" and r.spec.seed == 2]
    curve = figures.score_figure(replace(study.design, schemes=("normal(std=0.05)",)), only).curves[0]
    assert curve.mean[5] is not None
    assert curve.mean[6] is None


def test_a_failed_run_without_curves_leaves_no_trace_in_a_figure():
    study = small_study()
    failed = replace(study.records[-1], status="failed", curves={}, layers={}, histograms=())
    for make in (figures.score_figure, figures.loss_figure, histogram_figures.dead_figure):
        assert make(study.design, (*study.records, failed)) == make(study.design, study.records)


def test_a_long_run_is_thinned_and_keeps_its_ends():
    study = small_study(epochs=1000)
    curve = figures.score_figure(study.design, study.records).curves[0]
    assert len(curve.epochs) == figures.MOST_POINTS
    assert (curve.epochs[0], curve.epochs[-1]) == (0, 1000)


def test_a_regression_is_scored_by_its_loss():
    study = small_study()
    nan = np.full(51, np.nan)
    records = [replace(r, curves={**r.curves, "test_accuracy": nan}) for r in study.records]
    assert figures.score_figure(replace(study.design, loss="mse"), records).label == "Test loss (mean squared error)"


def test_the_final_figure_of_a_regression_shows_losses_and_the_least_is_best():
    study = small_study()
    nan = np.full(51, np.nan)
    records = [replace(r, curves={**r.curves, "test_accuracy": nan}) for r in study.records]
    figure = figures.final_figure(analyse(study.design, records), records)
    assert figure.label == "Final test loss"
    seeds = {row.scheme: row.per_seed for row in figure.rows}
    for record in records:
        loss = record.final("test_loss")
        shown = seeds[record.spec.scheme][record.spec.seed]
        assert shown == (float(f"{loss:.5g}") if record.status == "ok" and np.isfinite(loss) else None)
    rows = [figures.FinalRow(s, m, None, None, (m,)) for s, m in (("a", 9.0), ("b", 1.0), ("c", 1.1))]
    close = figures.close_rows(figures.FinalFigure("Final test loss", tuple(rows), less_is_better=True))
    assert [row.scheme for row in close.rows] == ["b", "c"]


def test_numbers_have_five_significant_digits():
    study = small_study()
    for curve in figures.score_figure(study.design, study.records).curves:
        assert all(value == float(f"{value:.5g}") for value in curve.mean if value is not None)


def test_shares_of_a_histogram_add_up_to_one():
    study = large_study()
    for quantity in ("weight", "activation", "gradient"):
        for panel in histogram_figures.histogram_figure(study.design, study.records, quantity).panels:
            for shares in (panel.start, panel.end):
                # Each of 33 shares is rounded to three digits.
                assert not shares or sum(shares) == pytest.approx(1.0, abs=33 * 5e-4)


def test_pooled_histograms_keep_the_mean_of_their_values():
    study = small_study(seeds=2)
    rng = np.random.default_rng(1)
    samples = [rng.normal(0.3, 1.0, 4000), rng.normal(-0.1, 2.0, 4000)]
    records = [
        replace(r, histograms=(_histogram(x),))
        for r, x in zip([r for r in study.records if r.spec.scheme == "he_normal"], samples, strict=True)
    ]
    panel = histogram_figures.histogram_figure(study.design, records, "weight").panels[0]
    edges = np.linspace(panel.low, panel.high, histogram_figures.BINS + 1)
    mean = np.sum(np.array(panel.start) * (edges[1:] + edges[:-1]) / 2)
    # Moving a value within its old and its new bin moves the mean by at most half of each.
    bound = (panel.high - panel.low) / histogram_figures.BINS
    assert mean == pytest.approx(np.mean([x.mean() for x in samples]), abs=bound)


def test_values_that_are_all_the_same_lie_in_the_middle_bin():
    study = small_study(seeds=1)
    records = [replace(study.records[0], histograms=(_histogram(np.zeros(9)), _histogram(np.zeros(9), epoch=50)))]
    panel = histogram_figures.histogram_figure(study.design, records, "weight").panels[0]
    assert (panel.low, panel.high) == (-0.5, 0.5)
    assert panel.start[histogram_figures.BINS // 2] == 1.0
    assert panel.end == panel.start


def test_a_run_that_diverged_shows_its_start_only():
    study = small_study(seeds=3)
    only = [r for r in study.records if r.status == "diverged"]
    panel = histogram_figures.histogram_figure(study.design, only, "weight").panels[0]
    assert panel.start
    assert not panel.end


def test_dead_units_are_told_for_hidden_layers_alone():
    study = small_study()
    figure = histogram_figures.dead_figure(study.design, study.records)
    assert figure.layers == ("hidden 1", "hidden 2")
    assert {(row.start, row.end) for row in figure.rows if row.scheme == "zeros"} == {(1.0, 1.0)}


def test_twenty_eight_schemes_are_drawn_in_twenty_eight_ways():
    assert len({line_style(i) for i in range(28)}) == 28


def _luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("ground", ["#ffffff", "#14181d"])
def test_every_colour_stands_out_from_the_ground(ground):
    for i in range(7):
        a, b = sorted((_luminance(line_style(i).colour), _luminance(ground)))
        assert (b + 0.05) / (a + 0.05) > 2.0


# Viénot, Brettel and Mollon (1999): linear RGB as seen without the long, or without the middle cones.
PROTAN = [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]
DEUTAN = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]


@pytest.mark.parametrize("seen", [np.eye(3), np.array(PROTAN), np.array(DEUTAN)], ids=["all", "protan", "deutan"])
def test_colours_stay_apart_without_a_kind_of_cones(seen):
    rgb = [[int(line_style(i).colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for i in range(7)]
    linear = np.where(np.array(rgb) <= 0.04045, np.array(rgb) / 12.92, ((np.array(rgb) + 0.055) / 1.055) ** 2.4)
    shown = np.clip(linear @ seen.T, 0, 1) ** (1 / 2.2)
    for a, b in combinations(shown, 2):
        assert np.linalg.norm(a - b) > 0.12


def all_specs(study):
    score = figures.score_figure(study.design, study.records)
    loss = figures.loss_figure(study.design, study.records)
    final = figures.final_figure(study.analysis, study.records)
    places = {scheme: i for i, scheme in enumerate(study.design.schemes)}
    made = {
        "score": specs.curve_spec(score),
        "loss": specs.curve_spec(loss),
        "panels": specs.curve_panels_spec(loss),
        "final": specs.final_spec(final, places=places),
        "remarks": specs.final_spec(final, places=places, epochs=50, remarks={study.design.schemes[0]: "never"}),
        "dead": layer_specs.dead_spec(histogram_figures.dead_figure(study.design, study.records)),
        "picture": specs.picture_spec(score, loss, title=study.design.name),
    }
    for quantity in ("weight", "activation", "gradient"):
        made[quantity] = layer_specs.histogram_spec(
            histogram_figures.histogram_figure(study.design, study.records, quantity)
        )
    return made


@pytest.mark.parametrize("study", [small_study, large_study])
def test_every_spec_compiles_and_draws_in_the_vendored_version_of_vega_lite(study):
    vl_convert = pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    from initlab.report.drawing.png import VEGA_LITE

    for name, spec in all_specs(study()).items():
        sized = {**spec, "width": 500} if spec.get("width") == "container" else spec
        assert vl_convert.vegalite_to_svg(sized, vl_version=VEGA_LITE, allowed_base_urls=[]).startswith("<svg"), name


def _axes(node):
    """Titles of every x and y encoding of a spec."""
    if isinstance(node, dict):
        for channel in ("x", "y"):
            if isinstance(node.get("encoding"), dict) and channel in node["encoding"]:
                yield node["encoding"][channel]
        for value in node.values():
            yield from _axes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _axes(value)


def test_every_number_axis_has_a_title():
    for name, spec in all_specs(small_study()).items():
        for axis in _axes(spec):
            assert axis.get("title") or axis["field"] == "scheme", name


def test_specs_are_plain_json_without_nan():
    for spec in all_specs(large_study()).values():
        assert json.loads(json.dumps(spec, allow_nan=False)) == json.loads(json.dumps(spec))
