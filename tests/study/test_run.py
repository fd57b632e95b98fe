"""A study carried out: weights, records, what is taken from the store and what is trained."""

from __future__ import annotations

import importlib
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.study.tiny_study import MARK, content, dataset, design, trainer

from initlab.core.errors import OptionError, ShapeError, StoreError
from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer
from initlab.study.design import expand, load_study, with_overrides
from initlab.study.environment import environment
from initlab.study.export import curves_table, write_curves
from initlab.study.records import RunRecord, RunSpec
from initlab.study.run import initial_weights, run_study
from initlab.study.store import Store
from initlab.theory import register_activation
from initlab.theory.activations import ACTIVATIONS


def spec(scheme: str, **changes: object) -> RunSpec:
    made = RunSpec(scheme, "iris", "", Mlp((200, 100, 50)), Optimizer(), Budget(1, 8), seed=0)
    return replace(made, **changes)


def statuses(records: list[RunRecord]) -> dict[int, set[str]]:
    return {seed: {r.status for r in records if r.spec.seed == seed} for seed in {r.spec.seed for r in records}}


# weights


def test_hidden_and_output_layers_have_their_own_schemes():
    weights = initial_weights(spec("normal(std=0.01)", output_scheme="ones"))
    assert weights["0/weight"].std() == pytest.approx(0.01, rel=5 / math.sqrt(2 * 20_000))
    assert (weights["1/weight"] == 1).all()


def test_a_weight_does_not_depend_on_the_other_layers_scheme():
    both = [initial_weights(spec("he_normal", output_scheme=output)) for output in (None, "zeros")]
    assert (both[0]["0/weight"] == both[1]["0/weight"]).all()


def test_schemes_of_one_family_draw_the_same_noise():
    he, normal = (initial_weights(spec(s))["0/weight"] for s in ("he_normal", "normal(std=0.1)"))
    assert np.allclose(he, normal, rtol=1e-6)  # sqrt(2 / 200) is 0.1


def test_norm_layers_start_as_the_plain_normalisation():
    weights = initial_weights(spec("he_normal", arch=Mlp((4, 8, 3), norm="layer")))
    assert (weights["norm_0/scale"] == 1).all()
    assert (weights["norm_0/bias"] == 0).all()


def test_biases_are_zero_unless_the_scheme_rules_them_and_is_asked_to():
    assert not initial_weights(spec("torch_default"))["0/bias"].any()
    assert not initial_weights(spec("he_uniform", bias_scheme="native"))["0/bias"].any()
    bias = initial_weights(spec("torch_default", bias_scheme="native"))["0/bias"]
    assert 0.9 / math.sqrt(200) < np.abs(bias).max() <= 1 / math.sqrt(200)  # 100 entries of U(±1/sqrt(fan_in))


def test_the_bias_of_an_output_layer_follows_the_output_layers_scheme():
    weights = initial_weights(spec("torch_default", output_scheme="he_uniform", bias_scheme="native"))
    assert weights["0/bias"].any()
    assert not weights["1/bias"].any()


@pytest.mark.parametrize(("name", "features"), [("iris", 4), ("digits", 64), ("mnist", 784), ("mnist-sgd", 784)])
def test_every_ready_made_study_starts_from_finite_weights(name, features):
    x, y = np.zeros((1, features), np.float32), np.zeros(1, np.int32)
    data = Dataset(name, x, y, x, y, class_names=tuple("0123456789"))
    for run in expand(with_overrides(load_study(name), seeds=1), data):
        assert all(np.isfinite(w).all() for w in initial_weights(run).values())


# what is trained, what is taken


def test_every_planned_run_has_a_record_in_the_designs_order(tmp_path):
    plan = expand(design(), dataset())
    records = run_study(design(), dataset(), tmp_path, trainer=trainer("fast"), jobs=2, chunk=3)
    assert [r.run_id for r in records] == [s.run_id for s in plan]
    assert statuses(records) == {0: {"ok"}, 1: {"ok"}, 2: {"ok"}, 3: {"ok", "diverged"}}


def test_records_hold_what_the_trainer_measured(tmp_path):
    first = run_study(design(seeds=1), dataset(), tmp_path, trainer=trainer("fast"))[0]
    assert first.curves["train_loss"].tolist() == [0, 1, 2, 3]  # zeros, seed 0: the epoch itself
    assert first.final("test_accuracy") == 6
    assert [bar.epoch for bar in first.histograms] == [0, 3]
    assert (first.wall, first.env) == (0.5, environment())


def test_a_second_call_trains_nothing_and_more_seeds_train_those_alone(tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, str(tmp_path))
    log = tmp_path / "trained"
    for seeds, trained in ((2, ["0", "0", "1", "1"]), (2, []), (4, ["2", "2", "3", "3"])):
        log.write_text("")
        records = run_study(design(seeds=seeds), dataset(), tmp_path / "out", trainer=trainer("counts"), jobs=1)
        assert sorted(log.read_text().split()) == trained
        assert len(records) == 2 * seeds


def test_committed_records_are_the_returned_ones(tmp_path):
    records = run_study(design(), dataset(), tmp_path, trainer=trainer("fast"))
    stored = Store(tmp_path / "records").load_all([r.run_id for r in records])
    assert [content(r) for r in stored] == [content(r) for r in records]


def test_progress_starts_with_what_the_store_has_and_ends_complete(tmp_path):
    told: list[dict[str, int]] = []
    run_study(design(seeds=2), dataset(), tmp_path, trainer=trainer("fast"))
    run_study(
        design(seeds=4), dataset(), tmp_path, trainer=trainer("fast"), chunk=2, progress=lambda **now: told.append(now)
    )
    assert told[0] == {"done": 4, "total": 8, "diverged": 0, "failed": 0}
    assert told[-1] == {"done": 8, "total": 8, "diverged": 1, "failed": 0}
    assert len(told) == 3


def test_a_damaged_record_stops_a_study_before_it_trains(tmp_path, monkeypatch):
    first = run_study(design(seeds=1), dataset(), tmp_path, trainer=trainer("fast"))[0]
    file = tmp_path / "records" / f"{first.run_id}.npz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match=rf"{first.run_id}\.npz\): delete the file"):
        run_study(design(seeds=2), dataset(), tmp_path, trainer="nowhere:nothing")
    file.unlink()
    assert len(run_study(design(seeds=2), dataset(), tmp_path, trainer=trainer("fast"))) == 4


@pytest.mark.parametrize("wrong", [{"jobs": 0}, {"jobs": -1}, {"jobs": True}, {"chunk": 0}, {"timeout": 0.0}])
def test_a_number_outside_its_range_is_refused_and_nothing_written(tmp_path, wrong):
    with pytest.raises(OptionError):
        run_study(design(), dataset(), tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_scheme_that_cannot_take_a_shape_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ShapeError, match="0/weight"):
        run_study(design(schemes=("zeros", "dirac")), dataset(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OptionError, match="is a file"):
        run_study(design(), dataset(), tmp_path / "out")


# the environment


def test_the_environment_names_no_user_host_or_folder():
    import getpass
    import socket

    words = " ".join(environment().values())
    assert "/" not in words.replace("/proc", "")
    assert all(secret not in words for secret in (socket.gethostname(), str(Path.home())) if secret)
    assert getpass.getuser() not in environment()


def test_the_environment_names_what_computes():
    assert environment()["numpy"] == np.__version__
    assert int(environment()["cores"]) >= 1


# curves as a table


def test_the_table_has_a_row_a_run_and_epoch(tmp_path):
    records = run_study(design(seeds=2), dataset(), tmp_path, trainer=trainer("fast"))
    table = curves_table(records, study="tiny")
    assert table.num_rows == 4 * 4
    assert table.column_names[:6] == ["study", "scheme", "seed", "run_id", "status", "epoch"]
    rows = table.filter((table["scheme"].to_numpy(zero_copy_only=False) == "zeros").tolist()).to_pylist()
    assert [(r["seed"], r["epoch"], r["train_loss"]) for r in rows[:4]] == [(0, e, float(e)) for e in range(4)]


def test_a_run_without_curves_is_a_row_too():
    failed = RunRecord("x", expand(design(), dataset())[0], "failed", "killed")
    row = curves_table([failed], study="tiny").to_pylist()
    assert (row[0]["status"], row[0]["epoch"], len(row)) == ("failed", None, 1)
    assert math.isnan(row[0]["train_loss"])


def test_no_runs_are_an_empty_table():
    assert curves_table([], study="tiny").num_rows == 0


def test_the_parquet_file_holds_the_table_and_nothing_else_is_left(tmp_path):
    import pyarrow.parquet as pq

    records = run_study(design(seeds=1), dataset(), tmp_path / "out", trainer=trainer("fast"))
    for _ in range(2):
        write_curves(records, tmp_path / "curves.parquet", study="tiny")
    assert pq.read_table(tmp_path / "curves.parquet").equals(curves_table(records, study="tiny"))
    assert {p.name for p in tmp_path.iterdir()} == {"out", "curves.parquet"}


# activations of one's own


@pytest.fixture
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    for held in ("_items", "_keys"):
        monkeypatch.setattr(ACTIVATIONS, held, dict(getattr(ACTIVATIONS, held)))


@pytest.mark.usefixtures("_forgotten")
def test_an_own_activation_of_a_module_trains_in_workers_and_one_of_a_script_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bends_of_a_test.py").write_text(
        "import os\nimport numpy as np\nfrom initlab import register_activation\n\n\n"
        "@register_activation('bend_of_a_test')\ndef bend(x):\n"
        "    open(os.path.join(os.path.dirname(__file__), f'seen-{os.getpid()}'), 'w').close()\n"
        "    return np.where(x > 0, x, 0.3 * np.sin(x))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bend = importlib.import_module("bends_of_a_test").bend
    register_activation("local_bend_of_a_test")(lambda x: np.where(x > 0, x, 0.3 * np.sin(x)))
    asked = replace(design(seeds=2, schemes=("he_normal",)), activation="bend_of_a_test")
    in_workers = run_study(asked, dataset(), tmp_path / "far", jobs=1)
    here = run_study(replace(asked, activation="local_bend_of_a_test"), dataset(), tmp_path / "near")
    seen = {int(path.name.removeprefix("seen-")) for path in tmp_path.glob("seen-*")}
    assert bend(np.ones(1)) == 1.0
    assert len(seen - {os.getpid()}) == 1
    assert [r.status for r in in_workers] == [r.status for r in here] == ["ok", "ok"]
    for far, near in zip(in_workers, here, strict=True):
        np.testing.assert_allclose(far.curves["train_loss"], near.curves["train_loss"], rtol=1e-5)


@pytest.mark.usefixtures("_forgotten")
def test_an_own_activation_that_cannot_be_trained_is_refused_in_a_line(tmp_path: Path) -> None:
    register_activation("sum_of_a_test", kinks=())(lambda x: x / (1.0 + np.sum(np.abs(x), axis=-1, keepdims=True)))
    with pytest.raises(OptionError, match=r"JAX has no function for 'sum_of_a_test' .*numpy\.sum.*: register it with"):
        run_study(replace(design(seeds=1), activation="sum_of_a_test"), dataset(), tmp_path)
