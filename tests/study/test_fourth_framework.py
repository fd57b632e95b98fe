"""A framework that initlab knows nothing of carries out studies: its own networks in workers, a user's model here."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.frameworks.numpy_nets import NUMPY_NETS
from tests.frameworks.numpy_nets.nets import Chain, Dense

import initlab
from initlab.core.adapter import Adapter
from initlab.core.errors import OptionError, UnknownNameError, UnsupportedError
from initlab.frameworks import FRAMEWORKS, Framework, framework_of, register_framework
from initlab.study.design import check_design, load_study, with_overrides
from initlab.study.trainers import TrainerName, trainer_named


def wide() -> Chain:
    return Chain(Dense(4, 9), "relu", Dense(9, 3))


def test_workers_find_a_framework_by_its_name_and_give_the_curves_of_our_own_engine(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    given = {"schemes": ["he_normal"], "seeds": 2, "epochs": 3, "jobs": 1}
    ours = initlab.compare("iris", out=tmp_path / "jax", **given)
    theirs = initlab.compare("iris", out=tmp_path / "numpy", framework="numpy_nets", **given)
    assert [record.status for record in theirs.records] == ["ok", "ok"]
    for one, other in zip(ours.records, theirs.records, strict=True):
        assert one.run_id != other.run_id
        np.testing.assert_allclose(other.curves["test_loss"], one.curves["test_loss"], rtol=2e-4)
    assert theirs.records[0].env["numpy"] == np.__version__
    assert "--framework numpy_nets" in theirs.command


def test_a_users_model_of_it_is_compared_and_reported(tmp_path: Path) -> None:
    x = np.random.default_rng(2).normal(size=(60, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    found = initlab.compare(build=lambda: wide(), data=(x, y), seeds=1, epochs=2, out=tmp_path)
    assert found.design.title == "Chain: a NumPy nets model with 75 parameters"  # (4 + 1) 9 + (9 + 1) 3
    assert found.design.schemes == ("auto", "he_normal", "glorot_uniform")  # it has no default with a name
    assert {record.status for record in found.records} == {"ok"}
    assert (tmp_path / "report.html").is_file()


def test_a_function_that_workers_can_import_trains_there(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32)
    data = (x, (x[:, 0] > 0.2).astype(int) + (x[:, 1] > 0))
    given = {"data": data, "schemes": ["he_normal"], "seeds": 1, "epochs": 2, "jobs": 1}
    with pytest.raises(initlab.InitlabError, match="outputs"):
        initlab.compare(build=wide, **{**given, "data": (x, np.arange(60) % 5)}, out=tmp_path / "refused")
    (there,) = initlab.compare(build=wide, **given, out=tmp_path / "there").records
    (here,) = initlab.compare(build=lambda: wide(), **given, out=tmp_path / "here").records
    np.testing.assert_array_equal(there.curves["test_loss"], here.curves["test_loss"])


def test_what_it_cannot_do_is_refused_in_one_line() -> None:
    model = wide()
    with pytest.raises(UnsupportedError, match=r"NumPy nets cannot watch a loop .*: call initlab.probe"):
        initlab.watch(model).__enter__()
    with pytest.raises(UnsupportedError, match=r"numpy_nets trains no recurrent net \(steps\): use the framework jax"):
        check_design(replace(load_study("iris"), framework="numpy_nets", hidden=(4,), steps=2))


def test_a_name_is_matched_as_every_name_is_and_kept_as_it_was_registered() -> None:
    assert with_overrides(load_study("iris"), framework="NumPy-Nets").framework == "numpy_nets"
    with pytest.raises(UnknownNameError, match="Did you mean 'numpy_nets'"):
        with_overrides(load_study("iris"), framework="numpy_nest")


def load() -> Adapter:
    return NUMPY_NETS.load()


def test_a_class_belongs_to_one_framework() -> None:
    taken = Framework("other_nets", "Other nets", load, roots=NUMPY_NETS.roots, model="Chain")
    with pytest.raises(OptionError, match="belong to NumPy nets"):
        register_framework(taken)
    assert "other_nets" not in FRAMEWORKS


def test_the_nearest_class_of_a_models_ancestry_tells_its_framework() -> None:
    torch = pytest.importorskip("torch")

    class Both(Chain, torch.nn.Module):  # a chain that is a torch module as well, as Keras' layers can be
        pass

    class Other(torch.nn.Module, Chain):
        pass

    assert [framework_of(kind.__new__(kind)).name for kind in (Both, Other)] == ["numpy_nets", "torch"]


def test_a_worker_registers_a_framework_by_the_module_that_loads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    name = TrainerName("numpy_nets", own=True)
    assert trainer_named(name.message()) == name
    assert '"home": "tests.frameworks.numpy_nets"' in name.message()
    monkeypatch.setattr(load, "__module__", "__main__")
    monkeypatch.setitem(FRAMEWORKS._items, "numpy_nets", Framework("numpy_nets", "", load, roots=(), model=""))
    with pytest.raises(OptionError, match="workers cannot find the framework 'numpy_nets'"):
        name.message()


def test_an_installed_package_brings_a_framework_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "bringing.py").write_text(
        "import initlab\n"
        "class Net:\n    pass\n"
        "def load():\n    raise ModuleNotFoundError('no brought', name='brought')\n"
        "given = {'roots': ('bringing:Net',), 'model': 'Net', 'install': 'pip install brought'}\n"
        "initlab.register_framework(initlab.Framework('brought', 'Brought', load, **given))\n"
    )
    facts = tmp_path / "bringing-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bringing\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[initlab.frameworks]\nbringing = bringing\n")
    script = (
        "from initlab.frameworks import FRAMEWORKS, models\n"
        "from initlab.core.errors import MissingDependencyError\n"
        "try: FRAMEWORKS['Brought'].trainer()\n"
        "except MissingDependencyError as error: print(error)\n"
        "print(models())"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.splitlines() == [
        "training needs the package 'brought' (brought): pip install brought",
        "a torch.nn.Module, a keras.Model, a flax.nnx.Module or a Net",
    ]
