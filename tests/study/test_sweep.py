"""Sweeps: what their files say, what is run and kept, what the table makes of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from tests.study.tiny_study import MARK, dataset, trainer

from initlab.core.errors import InitlabError, OptionError, UnknownNameError
from initlab.report.drawing.png import render
from initlab.report.study.sweep_html import sweep_html
from initlab.report.study.sweep_specs import sweep_picture_spec
from initlab.report.study.sweep_tables import sweep_json, sweep_schema, sweep_text
from initlab.study.records import Estimate
from initlab.study.sweep import Sweep, list_sweeps, load_sweep, parse_sweep, run_sweep, with_sweep_overrides
from initlab.study.sweep_table import SweepRow, SweepTable, depth_verdict, remedies_verdict, tabulate

HEAD = """
name = "small"
title = "Small nets"

[study]
task = "custom"
hidden = [4]
schemes = ["glorot_normal", "he_normal"]
seeds = 2
histogram_epochs = []
optimizer = { name = "sgd", learning_rate = 0.1 }
budget = { epochs = 2, batch_size = 2 }
"""
GRID = HEAD + '[grid]\nactivation = ["tanh", "relu"]\ndepth = [1, 3]\n'
LIST = (
    HEAD
    + """
[[variants]]
group = "one"
name = "plain"
label = "plain"
depth = 2
optimizer = { learning_rate = 0.5 }

[[variants]]
name = "clipped"
label = "clipping"
optimizer = { clip_norm = 1.0 }

[[variants]]
group = "two"
name = "other"
label = "plain"
activation = "tanh"
"""
)


@pytest.fixture
def grid() -> Sweep:
    return parse_sweep(GRID, where="small.toml")


@pytest.mark.parametrize("name", list_sweeps())
def test_every_ready_made_sweep_loads_with_a_title_and_three_seeds(name):
    sweep = load_sweep(name)
    assert sweep.title
    assert {variant.design.seeds for variant in sweep.variants} == {3}


def test_the_depth_sweep_goes_over_three_activations_from_4_to_50_layers():
    sweep = load_sweep("depth")
    depths = {group: [v.depth for v in sweep.variants if v.group == group] for group in sweep.groups}
    assert depths == {key: [4, 10, 20, 50] for key in ("tanh", "sigmoid", "relu")}


def test_the_remedies_are_those_that_are_promised():
    labels = {variant.label.split(" (")[0] for variant in load_sweep("depth-remedies").variants}
    assert labels >= {
        "plain", "right scheme", "batch norm", "layer norm", "residual connections", "gradient clipping",
        "ReLU in its place", "orthogonal", "identity",
    }  # fmt: skip


def test_a_grid_gives_a_study_a_pair(grid):
    assert [(v.name, v.design.activation, v.design.hidden) for v in grid.variants] == [
        ("tanh-1", "tanh", (4,)),
        ("tanh-3", "tanh", (4, 4, 4)),
        ("relu-1", "relu", (4,)),
        ("relu-3", "relu", (4, 4, 4)),
    ]


def test_what_the_first_of_a_group_changes_holds_for_its_group_alone():
    plain, clipped, other = (variant.design for variant in parse_sweep(LIST, where="small.toml").variants)
    assert (plain.optimizer.learning_rate, clipped.optimizer.learning_rate, other.optimizer.learning_rate) == (
        0.5, 0.5, 0.1,
    )  # fmt: skip
    assert (plain.optimizer.clip_norm, clipped.optimizer.clip_norm) == (None, 1.0)
    assert (len(clipped.hidden), len(other.hidden)) == (2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("title", "titel"), "the key 'title' is missing"),
        (("[grid]", "[gird]"), "either a grid or variants"),
        (("seeds = 2", "seed = 2"), "unknown key 'seed'"),
        (("name = ", "name "), "not a TOML file"),
        (('"tanh", "relu"', '"tanh", "tanh"'), "two variants share a name"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_the_file(change, message):
    with pytest.raises(OptionError, match=message) as caught:
        parse_sweep(GRID.replace(*change, 1), where="small.toml")
    assert "small.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_sweep_is_answered_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'depth'"):
        load_sweep("dept")


def test_an_override_out_of_its_range_is_refused(grid):
    with pytest.raises(InitlabError):
        with_sweep_overrides(grid, seeds=0)


def test_finished_runs_are_kept_and_another_seed_trains_only_itself(grid, tmp_path: Path, monkeypatch):
    monkeypatch.setenv(MARK, str(tmp_path))
    counts = {"jobs": 1, "trainer": trainer("counts")}
    first = run_sweep(grid, lambda design: dataset(), tmp_path / "runs", **counts)
    again = run_sweep(grid, lambda design: dataset(), tmp_path / "runs", **counts)
    log = tmp_path / "trained"
    assert len(log.read_text().split()) == 4 * 2 * 2
    assert [r.run_id for rs in first.values() for r in rs] == [r.run_id for rs in again.values() for r in rs]
    log.unlink()
    run_sweep(with_sweep_overrides(grid, seeds=3), lambda design: dataset(), tmp_path / "runs", **counts)
    assert log.read_text().split() == ["2"] * 4 * 2


def test_progress_counts_the_runs_of_the_whole_sweep(grid, tmp_path: Path):
    told: list[tuple[int, int]] = []

    def progress(*, done: int, total: int, diverged: int, failed: int) -> None:
        told.append((done, total))

    run_sweep(grid, lambda design: dataset(), tmp_path, jobs=1, trainer=trainer("fast"), progress=progress)
    assert told == sorted(told)
    assert told[-1] == (16, 16)


def test_a_table_has_a_row_a_variant_and_scheme_with_ratio_and_accuracy(grid, tmp_path: Path):
    records = run_sweep(grid, lambda design: dataset(), tmp_path, jobs=1, trainer=trainer("fast"))
    table = tabulate(grid, records, lambda design: dataset())
    assert [(row.variant, row.scheme) for row in table.rows] == [
        (variant.name, scheme) for variant in grid.variants for scheme in variant.design.schemes
    ]
    assert all(row.ratio == 1.0 for row in table.rows if row.depth == 1)  # the first hidden layer is the last
    assert all(len(row.accuracy.per_seed) == 2 for row in table.rows)


def test_a_net_that_gives_all_rows_one_class_does_not_train_though_no_other_is_better(grid, tmp_path: Path):
    records = run_sweep(grid, lambda design: dataset(), tmp_path, jobs=1, trainer=trainer("fast"))
    share = np.full(3, np.bincount(dataset().y_test).max() / len(dataset().y_test))
    blind = {
        name: [replace(r, curves={**r.curves, "test_accuracy": share}) for r in rs] for name, rs in records.items()
    }
    table = tabulate(grid, blind, lambda design: dataset())
    assert not any(row.trains for row in table.rows)
    assert table.verdict[0] == "tanh: none trains at any depth."


def row(group: str, label: str, depth: int, ratio: float | None, score: float | None, **changes: object) -> SweepRow:
    accuracy = Estimate(score, None, None, (score,))
    bare = SweepRow("v", group, label, depth, "he_normal", ratio, ratio, accuracy, score, 1, 0, 0, (score or 0) > 0.8)
    return replace(bare, **changes)


def depth_table() -> SweepTable:
    rows = [
        row("tanh", "4", 4, 1.0, 0.95),
        row("tanh", "50", 50, 1e-40, 0.1, scheme="he_normal"),
        row("tanh", "4", 4, 0.0, 0.3, scheme="uniform(low=-0.05, high=0.05)"),
        row("tanh", "50", 50, None, None, scheme="uniform(low=-0.05, high=0.05)", diverged=1),
    ]
    return SweepTable("depth", "<b>deep</b>", 3, False, tuple(rows), depth_verdict(rows))


def remedy_table() -> SweepTable:
    rows = [
        row("ill", "plain", 9, 1e-12, 0.1),
        row("ill", "mends", 9, 2.0, 0.95),
        row("ill", "eases", 9, 1e-4, 0.7),
        row("ill", "idle", 9, float("inf"), None, diverged=1),
    ]
    return SweepTable("depth-remedies", "mended", 3, True, tuple(rows), remedies_verdict(rows))


TABLES = [depth_table(), remedy_table()]
NAMES = ["depth", "remedies"]


def test_the_verdict_tells_what_cures_what_helps_and_what_does_not():
    assert remedy_table().verdict[0] == (
        "ill: plain reaches 10 % at a gradient ratio of 1e-12. Cured by mends; helped by eases; not by idle."
    )


@pytest.mark.parametrize(("score", "word"), [(0.49, "not by"), (0.51, "helped by")])
def test_what_gets_past_half_of_the_way_from_the_plain_net_to_the_best_helps(score, word):
    rows = [row("ill", "plain", 9, 1e-12, 0.2), row("ill", "best", 9, 2.0, 0.8), row("ill", "some", 9, 1e-4, score)]
    told = remedies_verdict([replace(r, trains=r.label == "best") for r in rows])[0]
    assert f"{word} some" in told


def test_of_a_plain_net_without_a_score_half_of_the_best_is_the_threshold():
    rows = [row("ill", "plain", 9, None, None), row("ill", "best", 9, 2.0, 0.8), row("ill", "some", 9, 1e-4, 0.41)]
    told = remedies_verdict([replace(r, trains=r.label == "best") for r in rows])[0]
    assert "helped by some" in told


def test_the_verdict_names_the_depth_that_a_scheme_reaches_and_those_that_reach_none():
    assert depth_verdict(depth_table().rows)[0] == (
        "tanh: he_normal still trains at depth 4; uniform(low=-0.05, high=0.05) at none."
    )


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
@pytest.mark.parametrize("width", [80, 120])
def test_no_line_of_a_table_is_longer_than_the_terminal(table, width):
    assert max(map(len, sweep_text(table, width=width).splitlines())) <= width


@pytest.mark.parametrize("name", list_sweeps())
def test_the_names_of_a_ready_made_sweep_fit_eighty_columns(name):
    accuracy = Estimate(0.95, 0.901, 0.999, (0.9, 1.0, 0.95))
    rows = tuple(
        SweepRow(v.name, v.group, v.label, v.depth, scheme, 1e-123, 1e-123, accuracy, 0.95, 3, 1, 0, True)
        for v in load_sweep(name).variants
        for scheme in v.design.schemes
    )
    text = sweep_text(SweepTable(name, "t", 3, load_sweep(name).has_remedies, rows, ()), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert all(v.group in text for v in load_sweep(name).variants)


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_json_fits_its_schema_holds_every_row_and_no_number_that_is_not_finite(table):
    told = json.loads(json.dumps(sweep_json(table, "runs/x"), allow_nan=False))
    jsonschema.validate(told, sweep_schema(), cls=jsonschema.Draft202012Validator)
    assert [(r["label"], r["gradient_ratio"]) for r in told["rows"]] == [
        (r.label, r.ratio if r.ratio is not None and np.isfinite(r.ratio) else None) for r in table.rows
    ]


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_a_picture_is_drawn_though_a_ratio_is_zero_infinite_or_unknown(table):
    assert render(sweep_picture_spec(table), form="png", scale=0.5).startswith(b"\x89PNG")


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_the_page_escapes_names_and_has_a_policy_against_fetching(table):
    page = sweep_html(table, command="initlab compare depth")
    assert "<b>deep" not in page
    assert "Content-Security-Policy" in page
    assert all(sentence.split(":")[0] in page for sentence in table.verdict)


def test_a_page_tells_what_was_asked_and_where_it_ran(grid, tmp_path: Path):
    records = run_sweep(grid, lambda design: dataset(), tmp_path, jobs=1, trainer=trainer("fast"))
    table = tabulate(grid, records, lambda design: dataset())
    page = sweep_html(table, command="", folder="small", sweep=grid, records=records)
    assert "small: 4 networks × 2 seeds" in page
    assert "custom; 1, 3 hidden layers of 4, tanh; sgd, learning rate 0.1; 2 epochs, batches of 2 rows" in page
    assert "lie in the folder small" in page
    assert "16 runs" in page


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_a_page_sets_in_bold_what_trains(table):
    rows = re.findall(r'<tr( class="strong")?><th scope="row">', sweep_html(table, command=""))
    assert [bool(strong) for strong in rows] == [row.trains for row in table.rows]


def test_every_cell_in_the_schema_is_in_every_row():
    assert set(sweep_schema()["$defs"]["row"]["required"]) == sweep_json(depth_table(), "")["rows"][0].keys()
