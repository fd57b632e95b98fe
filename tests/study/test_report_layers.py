from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.study.report_data import large_study, renamed, small_study

from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Budget, Histogram, Optimizer
from initlab.report.study.histogram_figures import histogram_figure
from initlab.report.study.layer_course_specs import course_spec, start_spec
from initlab.report.study.layer_figures import (
    CourseFigure,
    CourseLine,
    course_figure,
    gradient_figure,
    predicted_signal,
    signal_figure,
)
from initlab.report.study.layer_sections import PAGE, distributions
from initlab.report.study.layer_specs import histogram_spec
from initlab.study.records import RunSpec
from initlab.study.run import initial_weights


def _spec(scheme: str, widths: tuple[int, ...], **options) -> RunSpec:
    return RunSpec(scheme, "", "", Mlp(widths, **options), Optimizer(), Budget(1, 1), seed=0)


def test_lecun_halves_the_signal_of_relu_layers():
    # E[z^2] is 1, 1/2, 1/4; a ReLU keeps half of each; the logits have the E[a^2] below them.
    assert predicted_signal(_spec("lecun_normal", (16, 16, 16, 16)), 1.0) == pytest.approx((0.5, 0.25, 0.25))


def test_predicted_and_drawn_signals_agree():
    # A wide net strays from the mean by about sqrt(5 / 512) a layer, 10 %.
    spec = _spec("he_normal", (512, 512, 512, 512))
    x = np.random.default_rng(0).normal(size=(256, 512))
    weights, a, seen = initial_weights(spec), x, []
    for i in range(3):
        z = a @ weights[f"{i}/weight"].T
        a = np.maximum(z, 0.0) if i < 2 else z
        seen.append(float(np.mean(a**2)))
    assert seen == pytest.approx(predicted_signal(spec, float(np.mean(x**2))), rel=0.3)


@pytest.mark.parametrize(
    "spec", [_spec("ones", (8, 8, 8)), _spec("he_normal", (8, 8, 8, 8), residual=True), _spec("unheard_of", (8, 8, 8))]
)
def test_where_theory_does_not_apply_nothing_is_drawn_for_it(spec):
    assert {value for value in predicted_signal(spec, 1.0) if value is not None} == set()


def test_the_signal_at_the_start_is_the_mean_square_of_the_layers_output():
    study = small_study()
    curve = signal_figure(study.design, study.records, study.facts).curves[2]
    # The synthetic runs have a mean of 0.4 and a variance of 0.3 in every layer.
    assert curve.mean == pytest.approx([0.46] * 3)


def test_a_gradient_that_is_exactly_zero_is_written_as_zero_and_not_drawn_on_the_logarithmic_axis():
    study = small_study()
    figure = gradient_figure(study.design, study.records)
    assert figure.curves[0].mean == (0.0, 0.0, 0.0)
    marks = {layer["mark"]["type"]: layer for layer in start_spec(figure)["spec"]["layer"]}
    assert marks["point"]["transform"] == [{"filter": "datum.mean > 0"}]
    assert "datum.mean == 0" in marks["text"]["transform"][0]["filter"]


def test_a_report_knows_theory_for_schemes_it_can_look_up_and_no_others():
    study = small_study()
    facts = replace(study.facts, mean_square=1.0)
    strange = renamed(study, "he_normal", "=he")
    curves = {c.scheme: c.theory for c in signal_figure(strange.design, strange.records, facts).curves}
    assert curves["=he"] == (None,) * 3
    # Half of 2 fan_in / (fan_in + fan_out), to the five digits that are drawn.
    assert curves["glorot_normal"][0] == pytest.approx(4 / (4 + 64), rel=1e-4)


def test_a_layers_course_is_the_root_mean_square_over_seeds_and_epochs():
    study = small_study()
    lines = course_figure(study.design, study.records, "gradient").lines
    he = next(line for line in lines if line.scheme == "he_normal")
    # The synthetic gradient is 0.3 / (1 + epoch), without a mean.
    assert (he.epochs[0], he.epochs[-1], he.mean[0]) == (0, 50, pytest.approx(0.3))
    assert he.mean[-1] == pytest.approx(0.3 / 51, rel=1e-3)


def test_zeros_leave_a_gap_in_a_course():
    study = small_study()
    rows = course_spec(course_figure(study.design, study.records, "gradient"))["data"]["values"]
    assert {value for row in rows if row["scheme"] == "zeros" for value in row["mean"]} == {None}


def test_a_value_between_two_zeros_gets_a_dot_of_its_own():
    line = CourseLine("he_normal", "hidden 1", (0, 1, 2, 3, 4), (7.0, 0.0, 2.0, 3.0, 0.0))
    spec = course_spec(CourseFigure("RMS", "RMS", ("hidden 1",), (line,)))
    assert spec["data"]["values"][0]["alone"] == [7.0, None, None, None, None]
    assert [layer["mark"]["type"] for layer in spec["spec"]["layer"]] == ["line", "point"]


def test_epochs_in_between_have_histograms_too():
    study = small_study(seeds=1)
    counts = np.array([1, 2, 1], np.int32)
    bars = tuple(Histogram(epoch, "0", "weight", -1.0, 1.0, counts) for epoch in (0, 5, 20, 50))
    records = [replace(r, histograms=bars) for r in study.records]
    figure = histogram_figure(study.design, records, "weight")
    assert figure.between == (5, 20)
    assert [epoch for epoch, _ in figure.panels[0].between] == [5, 20]
    fields = [layer["encoding"]["y"]["field"] for layer in histogram_spec(figure)["spec"]["layer"]]
    assert fields == ["start", "epoch 5", "epoch 20", "end"]
    assert "after epoch 5, 20" in distributions(study.design, records).content


def test_no_drawing_of_histograms_has_more_schemes_than_a_printed_page_holds():
    study = large_study()
    figure = histogram_figure(study.design, study.records, "weight")
    parts = figure.pages(PAGE)
    assert max(len({panel.scheme for panel in part.panels}) for part in parts) == PAGE
    assert tuple(panel for part in parts for panel in part.panels) == figure.panels
