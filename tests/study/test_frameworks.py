"""One study carried out by each framework: the same answer, in records of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from initlab.core.errors import MissingDependencyError, UnknownNameError
from initlab.frameworks import FRAMEWORKS as REGISTERED
from initlab.study.design import load_study, with_overrides
from initlab.study.records import RunRecord
from initlab.study.run import run_study
from initlab.tasks import load_task

FRAMEWORKS = ["jax", "torch", "keras"]
# Fifteen Adam steps; JAX and Keras correct its moments in float32, torch in float64, which differ by 3e-5 at first.
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory):
    @cache
    def by(framework: str) -> list[RunRecord]:
        if find_spec(framework) is None:
            pytest.skip(f"{framework} is not installed")
        schemes = ["zeros", "he_normal"]
        design = with_overrides(load_study("iris"), seeds=2, epochs=4, schemes=schemes, framework=framework)
        return run_study(design, load_task("iris"), tmp_path_factory.mktemp(framework), jobs=1)

    return by


@pytest.mark.parametrize("framework", [name for name in FRAMEWORKS if name != "jax"])
def test_iris_gives_the_losses_of_our_own_engine(iris, framework: str) -> None:
    for ours, theirs in zip(iris("jax"), iris(framework), strict=True):
        assert theirs.status == "ok"
        for curve in ("train_loss", "test_loss"):
            np.testing.assert_allclose(theirs.curves[curve], ours.curves[curve], rtol=TOLERANCE, err_msg=curve)
        # At initialization nothing but the rounding of sums differs: the weights are the same bits.
        np.testing.assert_allclose(theirs.layers["weight_var"][0], ours.layers["weight_var"][0], rtol=1e-6)


def test_a_run_is_another_in_another_framework(iris) -> None:
    ids = {record.run_id for framework in FRAMEWORKS for record in iris(framework)}
    assert len(ids) == 4 * len(FRAMEWORKS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_record_tells_the_versions_of_its_framework(iris, framework: str) -> None:
    env = iris(framework)[0].env
    assert REGISTERED[framework].packages[0] in env
    assert ("keras_backend" in env) == (framework == "keras")


def test_an_unknown_framework_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown framework 'pytorch': Did you mean 'torch'"):
        with_overrides(load_study("iris"), framework="pytorch")


@pytest.mark.parametrize(("framework", "extra"), [("torch", "torch"), ("keras", "keras"), ("jax", "lab")])
def test_a_framework_that_is_not_installed_is_one_line_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, framework: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"initlab.frameworks.{framework}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, framework, None)
    with pytest.raises(MissingDependencyError) as raised:
        REGISTERED[framework].trainer()
    assert str(raised.value).startswith(f"training needs the package '{framework}'")
    assert str(raised.value).endswith(f"pip install 'initlab[{extra}]'")


def test_a_workers_settings_are_the_users_own_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variables = {"KERAS_BACKEND": "torch"}
    monkeypatch.setattr(os, "environ", variables)
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    REGISTERED["keras"].settle(tmp_path)
    of_xla = {name for name in variables if name.startswith(("JAX_", "XLA_"))}
    rest = {name: value for name, value in variables.items() if name not in of_xla}
    assert rest == {"KERAS_BACKEND": "torch", "MKL_CBWR": "AUTO,STRICT", "TF_CPP_MIN_LOG_LEVEL": "2"}
    assert variables["JAX_COMPILATION_CACHE_DIR"].startswith(str(tmp_path))


def test_choosing_a_framework_imports_none() -> None:
    script = "import sys, initlab.frameworks; print({'jax', 'torch', 'keras'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def compared(cwd: Path, *options: str) -> tuple[int, str, str]:
    words = ["compare", "iris", "--seeds", "1", "--epochs", "2", "--schemes", "he_normal", "--jobs", "1", "--json"]
    command = [sys.executable, "-m", "initlab", *words, *options]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_trains_in_a_framework_and_feeds_trackers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code, out, err = compared(tmp_path, "--framework", "torch", "--track", "csv")
    assert (code, err) == (0, "")
    assert '"csv": "ok"' in out
    assert (tmp_path / "runs" / "iris" / "csv" / "he_normal" / "seed-0" / "scalars.csv").is_file()


def test_an_unknown_tracker_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    code, out, err = compared(tmp_path, "--track", "tensorbord")
    assert (code, out) == (2, "")
    assert err.startswith("initlab: error: unknown tracker 'tensorbord': Did you mean 'tensorboard'?")
    assert not (tmp_path / "runs").exists()


def test_a_tracker_that_fails_is_a_notice_and_the_study_is_done(tmp_path: Path) -> None:
    (tmp_path / "runs" / "iris").mkdir(parents=True)
    (tmp_path / "runs" / "iris" / "csv").write_text("in the way")
    code, out, err = compared(tmp_path, "--track", "csv")
    assert code == 0
    assert '"csv": "degraded: ' in out
    assert err.startswith("initlab: notice: the tracker csv is degraded: ")
    assert len(err.splitlines()) == 1
