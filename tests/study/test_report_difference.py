from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.study.report_data import Study, renamed, small_study

from initlab.core.errors import OptionError, StoreError
from initlab.report.study.difference import difference_of
from initlab.report.study.difference_text import difference_html, difference_text, write_difference
from initlab.report.study.saved import read_comparison, read_saved, saved_json
from initlab.report.study.tables import analysis_json
from initlab.study.analysis import analyse
from initlab.study.design import with_overrides
from initlab.study.records import RunRecord
from initlab.study.store import Store

EVIL = "</script><img src=x onerror=alert(1)>\u2028\x1b[31m{{7*7}}"


def _study(*, seeds: int = 6, shift: float = 0.0) -> Study:
    """Four schemes; he_normal is better by ``shift`` in every seed."""
    made = small_study(seeds=seeds)
    records = tuple(_shifted(r, shift) if r.spec.scheme == "he_normal" else r for r in made.records)
    return replace(made, records=records, analysis=analyse(made.design, records))


def _shifted(record: RunRecord, by: float) -> RunRecord:
    curves = {name: values + by * (name == "test_accuracy") for name, values in record.curves.items()}
    return replace(record, curves=curves)


def _json(study: Study) -> dict:
    told = analysis_json(study.design, study.analysis, "runs/iris", environment=study.records[0].env)
    told |= saved_json(study.design, study.facts, study.records, "initlab compare iris")
    return json.loads(json.dumps(told, allow_nan=False))


def _regression(study: Study, *, by: float = 0.0) -> dict:
    """The study with its accuracies left out, and another test loss of one scheme."""
    nan = np.full(51, np.nan)
    curves = [{**r.curves, "test_accuracy": nan} for r in study.records]
    for r, told in zip(study.records, curves, strict=True):
        told["test_loss"] = np.full(51, 2.0 + r.spec.seed) + by * (r.spec.scheme == "he_normal")
    records = tuple(replace(r, status="ok", curves=told) for r, told in zip(study.records, curves, strict=True))
    made = replace(study, records=records, analysis=analyse(study.design, records))
    return {**_json(made), "data": {**_json(made)["data"], "kind": "regression"}}


def test_a_loss_is_told_as_a_loss_with_its_own_sign():
    found = difference_of(_regression(_study()), _regression(_study(), by=-0.5))
    change = next(change for change in found.changes if change.scheme == "he_normal")
    assert (change.first, change.second) == (4.5, 4.0)  # the mean of 2 to 7
    assert change.pair.difference == pytest.approx(-0.5)
    assert (change.pair.wins, change.pair.losses) == (6, 0)  # less is better
    assert found.score == "test loss"
    assert "Scores are test loss." in " ".join(difference_text(found).split())


def test_a_study_and_itself_are_the_same():
    told = _json(_study())
    found = difference_of(told, told)
    assert found.asked == ()
    assert {change.verdict for change in found.changes} == {"the same"}
    assert "0 of 4 schemes changed by more than luck." in found.conclusion


def test_a_change_that_every_seed_shows_is_more_than_luck_from_six_seeds_on():
    found = difference_of(_json(_study()), _json(_study(shift=-0.2)))
    change = found.changes[3]
    assert (change.scheme, change.verdict, change.pair.losses) == ("he_normal", "more than luck", 6)
    assert change.pair.difference == pytest.approx(-0.2)
    # The pattern seen and its mirror image, of 2^6.
    assert change.pair.p == pytest.approx(2 / 64)
    assert "he_normal by -0.200" in found.conclusion


def test_five_seeds_can_tell_no_difference():
    found = difference_of(_json(_study(seeds=5)), _json(_study(seeds=5, shift=-0.2)))
    assert found.changes[3].verdict == "too few seeds"


def test_seeds_of_one_study_alone_are_left_out():
    found = difference_of(_json(_study(seeds=8)), _json(_study(seeds=6)))
    assert {c.pair.wins + c.pair.losses + c.pair.ties for c in found.changes} == {6}
    assert ("seeds", "8", "6") in found.asked


def test_a_run_that_diverged_loses_against_one_that_did_not():
    whole = small_study(seeds=6)
    mended = replace(whole.records[8], status="ok", curves=whole.records[9].curves)
    records = (*whole.records[:8], mended, *whole.records[9:])
    second = replace(whole, records=records, analysis=analyse(whole.design, records))
    first = replace(whole, analysis=analyse(whole.design, whole.records))
    change = difference_of(_json(first), _json(second)).changes[1]
    assert (change.scheme, change.diverged, change.pair.wins) == ("normal(std=0.05)", (1, 0), 1)


def test_what_was_asked_differently_is_listed_and_the_rest_is_not():
    study = _study()
    design = with_overrides(study.design, learning_rate=0.01)
    other = _json(replace(study, design=design))
    other["environment"]["jax"] = "0.8.0"
    found = difference_of(_json(study), other)
    assert found.asked == (
        ("optimizer.learning_rate", "0.001", "0.01"),
        ("environment: jax", "0.7.0", "0.8.0"),
    )


def test_schemes_of_one_study_alone_are_named():
    study = _study()
    found = difference_of(_json(study), _json(renamed(study, "he_normal", "orthogonal")))
    assert (found.missing, found.added) == (("he_normal",), ("orthogonal",))
    assert "Only in the second: orthogonal" in difference_text(found)


def test_accuracies_and_losses_are_not_compared():
    told = _json(_study())
    with pytest.raises(OptionError, match="numbers on the other"):
        difference_of(told, {**told, "data": {**told["data"], "kind": "regression"}})


@pytest.mark.parametrize("scheme", ["he_normal", "uniform(low=-0.05, high=0.05)"])
def test_the_text_fits_eighty_columns(scheme):
    first, second = (_json(renamed(study, "he_normal", scheme)) for study in (_study(), _study(shift=-0.2)))
    assert max(map(len, difference_text(difference_of(first, second)).splitlines())) <= 80


def test_names_are_text_on_the_page_and_in_the_terminal(tmp_path):
    first, second = (_json(renamed(study, "he_normal", EVIL)) for study in (_study(), _study(shift=-0.2)))
    second["design"]["activation"] = EVIL
    found = difference_of(first, second)
    page = write_difference(tmp_path / "d.html", found).read_text()
    assert page == difference_html(found)
    assert "<img" not in page.split("<script>")[0].split("application/json")[0]
    assert "\x1b" not in page + difference_text(found)


# A finished study read back


def _folder(place: Path, study: Study) -> Path:
    Store(place / "records").commit(*study.records)
    (place / "comparison.json").write_text(json.dumps(_json(study)))
    return place


def test_a_study_read_back_from_its_folder_is_the_same(tmp_path):
    study = _study()
    saved = read_saved(_folder(tmp_path, study))
    assert (saved.design, saved.facts, saved.command) == (study.design, study.facts, "initlab compare iris")
    assert [record.run_id for record in saved.records] == [record.run_id for record in study.records]
    assert np.array_equal(saved.records[-1].curves["test_loss"], study.records[-1].curves["test_loss"])
    assert analyse(saved.design, saved.records) == study.analysis


def test_a_run_without_a_record_is_one_that_did_not_finish(tmp_path):
    study = _study()
    folder = _folder(tmp_path, study)
    (folder / "records" / f"{study.records[0].run_id}.npz").unlink()
    lost = read_saved(folder).records[0]
    assert (lost.status, lost.spec.scheme, lost.spec.seed) == ("failed", "zeros", 0)
    assert lost.spec.run_id == study.records[0].run_id


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no comparison"),
        ("{", "cannot be read"),
        ("[]", "no comparison"),
        ('{"study": 1}', "no comparison"),
    ],
)
def test_what_is_no_comparison_is_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(StoreError, match=words):
        read_comparison(tmp_path)


def test_a_damaged_design_is_refused(tmp_path):
    folder = _folder(tmp_path, _study())
    told = json.loads((folder / "comparison.json").read_text())
    told["design"]["hidden"] = "wide"
    (folder / "comparison.json").write_text(json.dumps(told))
    with pytest.raises(StoreError, match="damaged"):
        read_saved(folder)
