from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest
from tests.study.report_data import large_study, renamed, small_study

from initlab.report.drawing.text import folded_call, median_epochs
from initlab.report.study.tables import analysis_json, compare_schema, table_columns, table_text
from initlab.study.records import Analysis, Estimate

NOTHING = Estimate(None, None, None, (None, None))


def _with_row(analysis: Analysis, place: int, **changes: object) -> Analysis:
    rows = list(analysis.rows)
    rows[place] = replace(rows[place], **changes)
    return replace(analysis, rows=tuple(rows))


@pytest.mark.parametrize("width", [44, 60, 72, 80, 100, 132, 200])
@pytest.mark.parametrize("study", [small_study, large_study])
def test_no_line_of_the_table_is_wider_than_asked(study, width):
    assert max(len(line) for line in table_text(study().analysis, width=width).splitlines()) <= width


@pytest.mark.parametrize("width", [44, 60, 80, 132])
@pytest.mark.parametrize("scheme", ["truncated_normal(std=0.05)", "uniform(low=-0.05, high=0.05)", "x" * 60])
def test_a_long_name_folds_and_is_never_cut(scheme, width):
    study = renamed(small_study(), "glorot_normal", scheme)
    lines = table_text(study.analysis, width=width).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("normal"))
    names = [re.split(r"\s{2,}| (?=\d)", line.rstrip())[0] for line in lines[start:]]
    assert "".join(scheme.split()) in "".join("".join(names).split())


def test_eighty_columns_hold_every_column_although_a_run_diverged():
    text = table_text(small_study(seeds=20).analysis, width=80)
    for cell in ("[95 % interval]", "diverged", "1/20", "20/20", "<0.001", ">50", "best"):
        assert cell in text


def test_a_column_without_divergence_goes_where_space_is_short_and_stays_where_it_is_not():
    analysis = small_study().analysis
    for place in range(4):
        analysis = _with_row(analysis, place, diverged=0)
    assert "diverged" not in table_text(analysis, width=72).split("Mean over")[0]
    assert "0 of 5" in table_text(analysis, width=132)


def test_a_column_with_divergence_stays_at_seventy_two_characters():
    assert "1/5" in table_text(small_study().analysis, width=72)


def test_a_scheme_without_any_finite_value_has_dashes():
    analysis = _with_row(small_study().analysis, 1, test_accuracy=NOTHING, gap=NOTHING, train_loss=NOTHING, diverged=5)
    line = next(line for line in table_text(analysis, width=132).splitlines() if line.startswith("normal"))
    assert line.count("–") == 3


def test_scores_below_zero_are_told_as_the_losses_they_stand_for():
    analysis = _with_row(small_study().analysis, 0, test_accuracy=Estimate(-0.5, -0.6, -0.4, (-0.5,)))
    text = table_text(replace(analysis, target=-0.55), width=132)
    assert "0.500 [0.400, 0.600]" in text
    assert "until test loss is 0.550" in " ".join(text.split())
    assert "minus" not in text
    assert "-0.5" not in text


def test_failed_runs_are_named_below_the_table():
    analysis = _with_row(small_study().analysis, 3, failed=2)
    assert "he_normal 2 of 5" in " ".join(table_text(analysis, width=200).split())


def test_markup_and_escapes_in_a_name_are_text():
    study = renamed(small_study(), "he_normal", "[bold]he\x1b[31m_x[/bold]")
    text = table_text(study.analysis, width=132)
    assert "[bold]he_x[/bold]" in text
    assert "\x1b" not in text


def test_a_seed_that_never_gets_there_counts_as_more_than_all_epochs():
    # Of three seeds two never arrive: the middle one is a "never".
    assert median_epochs([4, None, None], limit=50) == ">50"
    assert median_epochs([4, 6, None], limit=50) == "6"


def test_the_best_scheme_is_worse_than_none():
    analysis = small_study().analysis
    losses = table_columns(analysis)[6].cells
    assert losses[[row.scheme for row in analysis.rows].index(analysis.best)] == "best"


@pytest.mark.parametrize("width", [2, 5, 12, 16, 40])
def test_a_folded_call_loses_nothing_but_spaces(width):
    call = "uniform(low=-0.05, high=0.05)"
    lines = folded_call(call, width)
    assert "".join("".join(lines).split()) == "".join(call.split())
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("study", [small_study, large_study])
def test_the_json_fits_its_schema(study):
    made = study()
    document = json.loads(
        json.dumps(analysis_json(made.design, made.analysis, "runs/a", environment={"jax": "0.7"}), allow_nan=False)
    )
    jsonschema.Draft202012Validator.check_schema(compare_schema())
    jsonschema.validate(document, compare_schema(), cls=jsonschema.Draft202012Validator)


def test_the_json_has_the_promised_keys():
    made = small_study()
    document = analysis_json(made.design, made.analysis, "runs/a")
    assert {"study", "folder", "conclusion", "schemes"} <= set(document)
    promised = {"scheme", "test_accuracy", "train_loss", "runs", "diverged", "p_vs_best"}
    assert all(promised <= set(row) for row in document["schemes"])
    assert set(document["schemes"][0]["test_accuracy"]) == {"mean", "low", "high", "per_seed"}


def test_numbers_that_do_not_exist_are_null_in_the_json():
    made = small_study()
    nan = float("nan")
    broken = Estimate(nan, nan, float("inf"), (nan, 0.5))
    analysis = _with_row(made.analysis, 1, test_accuracy=broken, p_vs_best=nan)
    row = json.loads(json.dumps(analysis_json(made.design, analysis, "runs/a"), allow_nan=False))["schemes"][1]
    assert row["test_accuracy"] == {"mean": None, "low": None, "high": None, "per_seed": [None, 0.5]}
    assert row["p_vs_best"] is None


def test_a_score_keeps_its_digits_in_the_json():
    made = small_study()
    analysis = _with_row(made.analysis, 0, test_accuracy=Estimate(0.1 + 0.2, None, None, (1 / 3,)))
    scores = analysis_json(made.design, analysis, "runs/a")["schemes"][0]["test_accuracy"]
    assert scores["per_seed"][0] == pytest.approx(1 / 3, rel=1e-14)


def _losses(study) -> dict[str, list[float | None]]:
    falling = [2.0 / (epoch + 1) for epoch in range(50)]
    return {name: [2.0] * 50 if name == "zeros" else falling for name in study.design.schemes}


def test_eighty_columns_hold_the_course_of_the_loss_where_no_run_diverged():
    study = small_study()
    analysis = study.analysis
    for place in range(4):
        analysis = _with_row(analysis, place, diverged=0)
    lines = table_text(analysis, width=80, losses=_losses(study)).splitlines()
    assert max(map(len, lines)) <= 80
    zeros, normal = (next(line for line in lines if line.startswith(name)) for name in ("zeros", "normal"))
    assert zeros.endswith("████████")
    # Of eight levels, round(7 ln(50 / n) / ln 50) at n = 1, 8, 15, ..., 50.
    assert normal.endswith("█▄▃▂▂▂▁▁")


@pytest.mark.parametrize("width", [40, 72, 80, 100, 132])
def test_a_table_with_the_course_of_the_loss_is_no_wider_than_asked(width):
    study = large_study()
    lines = table_text(study.analysis, width=width, losses=_losses(study)).splitlines()
    assert max(map(len, lines)) <= max(width, 60)
