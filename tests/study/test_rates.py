from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from tests.study.tiny_study import dataset, design

from initlab.core.errors import OptionError
from initlab.report.study import rate_sections
from initlab.report.study.facts import dataset_facts
from initlab.report.study.html import report_html
from initlab.report.study.tables import analysis_json, table_text
from initlab.study.analysis import analyse
from initlab.study.design import expand, parse_study, with_overrides
from initlab.study.rate_runs import run_rates, validation_part
from initlab.study.rates import (
    FIRST_TUNING_SEED,
    at_chosen_rates,
    at_rate,
    chosen_rates,
    is_tuning,
    rate_cells,
    tuned_rates,
)
from initlab.study.records import RunRecord, StudyDesign
from initlab.study.run import run_study

RATES = (0.001, 0.1)


def _grid(seeds: int = 6) -> StudyDesign:
    return replace(design(seeds=seeds), learning_rates=RATES)


def _records(study: StudyDesign, loss, *, accuracy=lambda spec: 0.5, diverges=lambda spec: False) -> list[RunRecord]:
    records = []
    for rate in study.learning_rates:
        for spec in expand(at_rate(study, rate), dataset()):
            ends = np.array([np.nan, loss(spec)]), np.array([0.1, accuracy(spec)])
            curves = {"train_loss": ends[0], "train_accuracy": ends[1], "test_loss": ends[0], "test_accuracy": ends[1]}
            status = "diverged" if diverges(spec) else "ok"
            records.append(RunRecord(spec.run_id, spec, status, curves=curves, env={"python": "3"}))
    return records


def _rate(spec) -> float:
    return spec.optimizer.learning_rate


def test_each_scheme_gets_the_rate_of_its_own_least_train_loss():
    study = _grid()
    best = dict(zip(study.schemes, (0.001, 0.1, *[0.1] * len(study.schemes)), strict=False))
    records = _records(study, lambda spec: 0.1 if _rate(spec) == best[spec.scheme] else 0.9)
    assert chosen_rates(study, records) == {scheme: best[scheme] for scheme in study.schemes}


def test_the_test_set_has_no_say_in_the_rate():
    study = _grid()
    records = _records(study, lambda spec: _rate(spec), accuracy=lambda spec: 0.9 if _rate(spec) == 0.1 else 0.2)
    assert set(chosen_rates(study, records).values()) == {0.001}


def test_a_rate_at_which_a_run_diverged_comes_after_one_at_which_none_did():
    study = _grid()
    records = _records(study, lambda spec: 1 / _rate(spec), diverges=lambda spec: _rate(spec) == 0.1 and spec.seed == 0)
    assert set(chosen_rates(study, records).values()) == {0.001}


def test_choosing_again_among_the_chosen_changes_nothing():
    study = _grid()
    records = _records(study, lambda spec: _rate(spec), diverges=lambda spec: spec.seed == 0)
    chosen = at_chosen_rates(study, records)
    assert len(chosen) == len(study.schemes) * study.seeds
    assert at_chosen_rates(study, chosen) == chosen


def test_the_analysis_compares_every_scheme_at_its_own_rate():
    study = _grid()
    records = _records(study, lambda spec: 1 / _rate(spec), accuracy=lambda spec: _rate(spec))
    analysis = analyse(study, records)
    assert {row.learning_rate for row in analysis.rows} == {0.1}
    assert {row.test_accuracy.mean for row in analysis.rows} == {0.1}
    assert analysis.conclusion.endswith("Each scheme has its own of 2 learning rates, chosen by train loss.")
    assert len(at_chosen_rates(study, records)) == len(study.schemes) * study.seeds


def test_a_study_without_a_grid_is_compared_as_it_is():
    study = design(seeds=2)
    records = _records(replace(study, learning_rates=(study.optimizer.learning_rate,)), lambda spec: 0.5)
    assert at_chosen_rates(study, records) == records
    assert {row.learning_rate for row in analyse(study, records).rows} == {None}
    assert rate_cells(study, records) == ()


def test_the_table_the_json_and_the_report_tell_the_rates():
    study = _grid()
    analysis = analyse(study, records := _records(study, lambda spec: _rate(spec)))
    assert "learning" in table_text(analysis, width=120)
    assert {row["learning_rate"] for row in analysis_json(study, analysis, "runs")["schemes"]} == {0.001}
    page = report_html(study, records, analysis, dataset_facts(dataset()), command="")
    assert "chart-rates" in page
    assert "learning rate of 0.001, 0.1, each scheme its own" in page
    assert "The rate lies at the end of the grid" in page


def test_a_grid_trains_every_scheme_at_every_rate_and_tells_how_far_it_is(tmp_path):
    told = []
    study = with_overrides(design(seeds=1), schemes=["zeros", "he_normal"], learning_rates=RATES, epochs=1)
    records = run_rates(study, dataset(), tmp_path, jobs=1, progress=lambda **counts: told.append(counts))
    tuned = [r for r in records if is_tuning(r)]
    assert {(r.spec.scheme, _rate(r.spec)) for r in tuned} == {(s, r) for s in study.schemes for r in RATES}
    assert len({r.run_id for r in records}) == 6
    assert (told[-1]["done"], told[-1]["total"]) == (6, 6)


def test_reported_runs_train_on_all_training_rows_at_the_rate_that_other_seeds_and_rows_chose(tmp_path):
    study = with_overrides(design(seeds=2), schemes=["zeros", "he_normal"], learning_rates=RATES, epochs=1)
    data = dataset()
    records = run_rates(study, data, tmp_path, jobs=1)
    reported, tuned = at_chosen_rates(study, records), [r for r in records if is_tuning(r)]
    rates = tuned_rates(study, tuned)
    assert {(r.spec.scheme, r.spec.seed): _rate(r.spec) for r in reported} == {
        (scheme, seed): rates[scheme] for scheme in study.schemes for seed in (0, 1)
    }
    plain = run_study(at_rate(replace(study, schemes=("he_normal",)), rates["he_normal"]), data, tmp_path / "p", jobs=1)
    ours = [r.final("test_accuracy") for r in reported if r.spec.scheme == "he_normal"]
    assert ours == [r.final("test_accuracy") for r in plain]
    assert {r.spec.seed for r in tuned} == {FIRST_TUNING_SEED, FIRST_TUNING_SEED + 1}
    assert not {r.spec.data_digest for r in tuned} & {r.spec.data_digest for r in reported}
    assert chosen_rates(study, records) == rates
    conclusion = analyse(study, records).conclusion
    assert "chosen on other seeds and a validation part of the training rows." in conclusion
    page = report_html(study, records, analyse(study, records), dataset_facts(data), command="")
    assert "Validation accuracy by learning rate" in page


def test_the_validation_part_holds_training_rows_alone_and_no_copy_on_both_sides():
    x = np.repeat(np.arange(20, dtype=np.float32), 2)[:, None]
    y = (x[:, 0] > 9).astype(np.int32)
    part = validation_part(replace(dataset(), x_train=x, y_train=y, x_test=x + 100, y_test=y, digest="ab"))
    assert (len(part.x_train), len(part.x_test)) == (32, 8)
    assert not {*part.x_train[:, 0]} & {*part.x_test[:, 0]}
    assert float(part.x_test.max()) < 100


def test_the_rate_with_the_best_validation_score_wins_and_lost_runs_come_first():
    study = _grid()
    score = {0.001: 0.6, 0.1: 0.9}
    best = _records(study, lambda spec: 0.5, accuracy=lambda spec: score[_rate(spec)])
    assert set(tuned_rates(study, best).values()) == {0.1}
    lost = _records(study, lambda spec: 0.5, accuracy=lambda s: score[_rate(s)], diverges=lambda s: _rate(s) == 0.1)
    assert set(tuned_rates(study, lost).values()) == {0.001}
    tied = _records(study, lambda spec: _rate(spec), accuracy=lambda spec: 0.5)
    assert set(tuned_rates(study, tied).values()) == {0.001}


def test_a_grid_of_one_rate_leaves_nothing_to_choose_and_trains_nothing_else(tmp_path):
    study = with_overrides(design(seeds=1), schemes=["zeros"], learning_rates=[0.1], epochs=1)
    (run,) = run_rates(study, dataset(), tmp_path, jobs=1)
    assert (run.spec.seed, _rate(run.spec)) == (0, 0.1)


def test_a_first_seed_among_those_that_tune_is_refused():
    with pytest.raises(OptionError, match="1,000,000"):
        with_overrides(_grid(), first_seed=FIRST_TUNING_SEED)


def test_a_single_rate_in_an_override_takes_the_place_of_a_grid():
    assert with_overrides(_grid(), learning_rate=0.5).learning_rates == ()


@pytest.mark.parametrize(("rates", "words"), [((0.0,), "above 0"), ((float("nan"),), "above 0"), ((1, 1.0), "twice")])
def test_a_grid_that_makes_no_sense_is_refused(rates, words):
    with pytest.raises(OptionError, match=words):
        with_overrides(design(), learning_rates=rates)


def test_a_toml_may_name_a_grid():
    text = """
        name = "mine"
        task = "iris"
        hidden = [4]
        schemes = ["zeros"]
        learning_rates = [1e-3, 1]
        [optimizer]
        name = "sgd"
        [budget]
        epochs = 1
        batch_size = 8
    """
    assert parse_study(text, where="mine.toml").learning_rates == (0.001, 1.0)


def test_the_interval_of_an_accuracy_ends_at_one_at_every_rate():
    study = _grid()
    # Five runs at 1 and one at 0.4: mean 0.9, and a t-interval that would reach 1.16.
    records = _records(study, lambda spec: 1.0, accuracy=lambda spec: 0.4 if spec.seed == 0 else 1.0)
    section = rate_sections.rates(study, records)
    highs = [float(high) for high in re.findall(r'"high":([\d.]+)', section.content)]
    assert highs
    assert max(highs) == 1.0
