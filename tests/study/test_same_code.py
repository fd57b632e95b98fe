"""A worker that imports other code than its parent is refused by the name of what differs, and nothing is stored."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.frameworks.numpy_nets import NUMPY_NETS
from tests.study.tiny_study import dataset, design, trainer

import initlab
from initlab.core.errors import OptionError
from initlab.frameworks import FRAMEWORKS
from initlab.study import same_code
from initlab.study.run import run_study

MODULE = """
from tests.frameworks.numpy_nets.nets import Chain, Dense

WIDTH = 9
SCALE = {"inner": 1.0}


def build():
    return Chain(Dense(4, WIDTH), "relu", Dense(WIDTH, 3))
"""


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of the user's, imported; its models are those of a framework that takes no time."""
    assert NUMPY_NETS.name in FRAMEWORKS
    (tmp_path / "users_net.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module("users_net")
    del sys.modules["users_net"]


def compare(module: ModuleType, out: Path) -> initlab.Comparison:
    rows = np.random.default_rng(3).normal(size=(40, 4)).astype(np.float32)
    data = (rows, (rows[:, 0] > 0.2).astype(int) + (rows[:, 1] > 0))
    return initlab.compare(
        build=module.build, data=data, schemes=["he_normal"], seeds=1, epochs=1, jobs=1, splits=1, out=out
    )


def test_a_module_that_was_edited_after_its_import_is_refused_by_name(users: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "users_net.py"
    file.write_text(MODULE.replace('"relu"', '"tanh"'))
    with pytest.raises(OptionError, match=r"other code than its parent: 'users_net:build' is another"):
        compare(users, tmp_path / "out")
    assert not list(tmp_path.rglob("records/*.npz"))


def test_a_value_that_the_parent_has_changed_is_refused_by_name(users: ModuleType, tmp_path: Path) -> None:
    users.WIDTH = 12  # type: ignore[attr-defined]
    with pytest.raises(OptionError, match=r"'users_net:WIDTH' is another"):
        compare(users, tmp_path / "out")
    assert not list(tmp_path.rglob("records/*.npz"))


def test_what_was_not_edited_trains(users: ModuleType, tmp_path: Path) -> None:
    assert [record.status for record in compare(users, tmp_path / "out").records] == ["ok"]


@pytest.mark.parametrize(("name", "value"), [("__version__", "0.0.7"), ("NUMERICS", "99")])
def test_another_initlab_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr(same_code, name, value)
    with pytest.raises(OptionError, match=rf"a worker imports initlab's \w+ .*, its parent {value}"):
        run_study(design(seeds=1), dataset(), tmp_path, jobs=1, trainer=trainer("fast"))
    assert not list(tmp_path.rglob("records/*.npz"))


def test_an_initlab_that_was_edited_after_its_import_is_refused_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(same_code._IMPORTED, "study/wire.py", [7, 7])
    with pytest.raises(OptionError, match=r"a worker imports another initlab/study/wire\.py than its parent"):
        run_study(design(seeds=1), dataset(), tmp_path, jobs=1, trainer=trainer("fast"))
