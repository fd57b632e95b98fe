"""Runs made elsewhere: each kind read alike, hostile folders refused, and what is said of them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import dunnett, ttest_ind
from statsmodels.stats.multitest import multipletests
from tests.study.elsewhere_files import WRITERS, Courses, leveldb_log, wandb_bytes
from tests.study.report_data import small_study

from initlab import compare_runs
from initlab.core.errors import DataError, InitlabError, OptionError
from initlab.study.analysis import analyse
from initlab.study.elsewhere.judging import Floor, Trial, holm, luck, noise_floor, studentised
from initlab.study.elsewhere.runs import MOST_BYTES
from initlab.study.stats import compare_pairs
from initlab.study.store import Store

SEEDS = 7


@pytest.fixture(scope="module")
def courses() -> Courses:
    rng = np.random.default_rng(5)
    means = {"he_normal": 0.9, "glorot_normal": 0.89, "zeros": 0.3}
    return {
        (scheme, seed): [0.1, *(float(np.float32(mean + 0.02 * rng.normal())) for _ in range(2))]
        for scheme, mean in means.items()
        for seed in range(3, 3 + SEEDS)
    }


def written(folder: Path, text: str, name: str = "runs.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_gives_the_pairs_of_the_same_numbers(kind: str, courses: Courses, tmp_path: Path) -> None:
    found = compare_runs(WRITERS[kind](tmp_path, courses))
    names = [trial.name for trial in found.trials]
    scores = np.array([[courses[name, seed][-1] for seed in range(3, 3 + SEEDS)] for name in names])
    assert found.paired
    assert set(names) == {"he_normal", "glorot_normal", "zeros"}
    assert found.pairs == compare_pairs(scores, names=names)


def test_an_initlab_store_is_read_like_the_study_it_holds(tmp_path: Path) -> None:
    study = small_study(seeds=6, epochs=3)
    records = [replace(record, run_id=record.spec.run_id) for record in study.records]
    Store(tmp_path / "records").commit(*records)
    found = compare_runs(tmp_path, metric="test_accuracy")
    told = analyse(study.design, records)
    assert {t.name: t.estimate.mean for t in found.trials} == {r.scheme: r.test_accuracy.mean for r in told.rows}
    assert {frozenset((pair.first, pair.second)): pair.diverged for pair in found.pairs} == {
        frozenset((pair.first, pair.second)): pair.diverged for pair in told.pairs
    }


def test_runs_without_common_seeds_are_two_samples(tmp_path: Path) -> None:
    rows = [f"a,{k},{0.9 + k / 1000}" for k in range(5)] + [f"b,{k + 50},{0.8 + k / 300}" for k in range(6)]
    found = compare_runs(written(tmp_path, "\n".join(["scheme,seed,accuracy", *rows])))
    assert not found.paired
    assert found.pairs[0].p == pytest.approx(2 / 462)  # of C(11, 5) labellings, the one seen and its mirror image
    assert "no common seeds, so two samples" in found.conclusion


def test_a_studentised_p_is_the_share_of_all_labellings() -> None:
    a, b = np.array([0.3, 0.9, 0.8, 0.95]), np.array([0.2, 0.25, 0.4, 0.1, 0.35])

    def t(x: np.ndarray, y: np.ndarray) -> float:
        return float((x.mean() - y.mean()) / np.sqrt(x.var(ddof=1) / x.size + y.var(ddof=1) / y.size))

    every, seen = np.concatenate([a, b]), t(a, b)
    chosen = [np.isin(np.arange(9), part) for part in combinations(range(9), 4)]
    share = np.mean([t(every[part], every[~part]) >= seen * (1 - 1e-12) for part in chosen])
    p, ends = studentised(a, b)
    assert p == pytest.approx(2 * share)
    assert ends == pytest.approx(tuple(ttest_ind(a, b, equal_var=False).confidence_interval(0.95)))


def test_holm_is_that_of_statsmodels() -> None:
    ps = [0.04, 0.001, 0.3, 0.012, 0.012]
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1].tolist())


def test_luck_is_dunnetts_p_of_the_best() -> None:
    rng = np.random.default_rng(11)
    baseline, *others = (rng.normal(2.0, 0.3, size=n) for n in (6, 3, 3, 3, 3))
    trials = [Trial(str(k), tuple(group), ("",) * len(group)) for k, group in enumerate((baseline, *others))]
    floor = noise_floor(trials)
    assert floor is not None
    lead = max(group.mean() for group in others) - baseline.mean()
    expected = dunnett(*others, control=baseline, alternative="greater", rng=np.random.default_rng(3)).pvalue.min()
    assert luck(lead, floor, runs=[3] * 4, baseline=6) == pytest.approx(expected, abs=3e-3)


def test_luck_is_the_share_of_hunts_among_equals() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=(40_000, 17))
    spread = values[:, :5].std(axis=1, ddof=1)
    leads = (values[:, 5:].max(axis=1) - values[:, :5].mean(axis=1)) / spread
    for lead in (0.5, 1.5, 4.0):
        share = luck(lead, Floor(1.0, 4, 5, 1), runs=[1] * 12, baseline=5)
        assert share == pytest.approx(float(np.mean(leads >= lead)), abs=4 * 0.5 / 200)


def test_one_run_a_configuration_is_no_claim(tmp_path: Path) -> None:
    found = compare_runs(written(tmp_path, "scheme,loss\na,0.5\nb,0.1\n"))
    assert (found.pairs, found.floor, found.worth) == ((), None, None)
    assert found.conclusion.startswith("One run a configuration: no claim.")


def test_the_best_of_twelve_is_worth_what_repeats_alone_do(tmp_path: Path) -> None:
    base = [f"base,{2 + (-1) ** k * 0.2}" for k in range(8)]
    hunt = [f"trial{k},{2 - 0.025 * k}" for k in range(1, 13)]
    found = compare_runs(written(tmp_path, "\n".join(["scheme,val_loss", *base, *hunt])))
    assert found.worth is not None
    assert (found.worth.best, found.worth.trials, found.worth.claimed) == ("trial12", 12, False)
    assert found.worth.lead == pytest.approx(0.3)
    assert "The best of 12, trial12, is 0.3 below base: repeats alone do that in 63 %." in found.conclusion
    assert "That is no claim" in found.conclusion


def test_peeking_is_marked(tmp_path: Path) -> None:
    rows = [f"a,{seed},{step},{value}" for seed in range(6) for step, value in enumerate((0.5, 0.99, 0.6))]
    rows += [f"b,{seed},{step},{value}" for seed in range(9) for step, value in enumerate((0.5, 0.7, 0.8))]
    notes = " ".join(compare_runs(written(tmp_path, "\n".join(["scheme,seed,step,accuracy", *rows]))).notes)
    assert "configurations have 6 to 9 runs" in notes
    assert "by the best step of each run a would be best" in notes


def test_a_run_that_diverged_is_worse_and_no_number_stands_for_it(tmp_path: Path) -> None:
    rows = [f"a,{k},0.5" for k in range(8)] + [f"b,{k},{'nan' if k % 2 else 0.5}" for k in range(8)]
    found = compare_runs(written(tmp_path, "\n".join(["scheme,seed,accuracy", *rows])))
    (pair,) = found.pairs
    assert (pair.diverged, pair.difference, pair.low) == (4, 0.0, None)
    assert [trial.estimate.mean for trial in found.trials] == [0.5, 0.5]


def test_runs_that_failed_or_still_run_are_left_out_and_said(tmp_path: Path) -> None:
    for number, code in enumerate((0, 0, 1, None)):
        file = tmp_path / f"run-{number}.wandb"
        file.write_bytes(wandb_bytes({"seed": number, "lr": 0.1}, [0.5], code=code))
    found = compare_runs(tmp_path)
    assert len(found.trials[0].scores) == 2
    assert any(note.startswith("2 runs are left out: it did not end and it failed with code 1") for note in found.notes)


HOSTILE = {
    "no metric is named": ("scheme,seed,acc,loss\na,1,0.5,0.5\n", OptionError, "name one of acc, loss"),
    "a direction is open": ("scheme,seed,bits\na,1,0.5\n", OptionError, "higher or lower"),
    "no scheme": ("model,seed,acc\na,1,0.5\n", OptionError, "--by"),
    "a seed comes twice": ("scheme,seed,acc\na,1,0.5\na,1,0.6\n", DataError, "a second time"),
    "a value is a word": ("scheme,seed,metric,value\na,1,acc,high\n", DataError, "line 2: the value 'high'"),
    "a row is short": ("scheme,seed,acc\na,1\n", DataError, "line 2 has 2 fields"),
    "steps without seeds": ("scheme,step,acc\na,1,0.5\n", OptionError, "add a seed"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_table_that_leaves_something_open_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    text, error, words = HOSTILE[case]
    with pytest.raises(error, match=words) as caught:
        compare_runs(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_control_characters_are_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"a\x1b[31m\x07,{k},0.5\nb\u202e,{k},0.4" for k in range(6)]
    found = compare_runs(written(tmp_path, "\n".join(["scheme,seed,acc\x1b]0;x\x07", *rows])))
    found.print()
    shown = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert r"a\x1b[31m\x07" in shown


def test_a_number_that_cannot_be_squared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="acc is 1e\\+308 at step 0, too large"):
        compare_runs(written(tmp_path, "scheme,seed,acc\na,1,1e308\na,2,-1e308\n"))


def test_where_all_diverged_nobody_peeked(tmp_path: Path) -> None:
    rows = [f"{scheme},{seed},nan" for scheme in "ab" for seed in range(6)]
    found = compare_runs(written(tmp_path, "\n".join(["scheme,seed,acc", *rows])))
    assert (found.notes, found.pairs[0].p, found.pairs[0].diverged) == ((), 1.0, 6)


def test_a_damaged_file_is_refused_by_its_place(tmp_path: Path) -> None:
    whole = bytearray(wandb_bytes({"seed": 1}, [0.5, 0.6]))
    whole[60] ^= 1
    (tmp_path / "a.wandb").write_bytes(whole)
    with pytest.raises(DataError, match="the record at byte 7 is damaged"):
        compare_runs(tmp_path)
    (tmp_path / "a.wandb").write_bytes(b":W&B\xe1\xbe\x00" + leveldb_log([b"\xff\xff\xff"], at=7))
    with pytest.raises(DataError, match="no message of that format"):
        compare_runs(tmp_path)
    (tmp_path / "a.wandb").unlink()
    (tmp_path / "events.out.tfevents.1").write_bytes(b"\xff" * 40)
    with pytest.raises(DataError, match="byte 0 starts no record"):
        compare_runs(tmp_path)


def test_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    for name in ("a.wandb", "events.out.tfevents.1", "big.csv", "mlflow.db"):
        file = tmp_path / name
        with open(file, "wb") as out:
            out.truncate(MOST_BYTES + 1)  # sparse: no byte of it is on the disk
        with pytest.raises(InitlabError, match="bytes, more than"):
            compare_runs(file)
        file.unlink()


def test_links_are_not_followed_and_nothing_is_written(courses: Courses, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "shown").mkdir()
    WRITERS["MLflow's files"](tmp_path / "real", courses)
    (tmp_path / "shown" / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OptionError, match="there are no runs of a kind that is known"):
        compare_runs(tmp_path / "shown")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "real").rglob("*")}
    compare_runs(tmp_path / "real")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "real").rglob("*")} == before


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as base:
        base.execute("CREATE TABLE runs (a)")
    base.close()
    with pytest.raises(DataError, match="no tables of MLflow"):
        compare_runs(tmp_path / "x.db")
