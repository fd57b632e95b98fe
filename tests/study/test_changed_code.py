"""A result answers for the code that made it: other code is refused, taken with a mark, or everything is made anew."""

from __future__ import annotations

import importlib
import io
import json
import linecache
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from tests.study.tiny_study import dataset, design, trainer

from initlab.api import reporting
from initlab.cli.main import main
from initlab.core.errors import ChangedWarning, OptionError
from initlab.schemes.base import SCHEMES
from initlab.study.records import RunRecord
from initlab.study.resuming import Changed
from initlab.study.run import run_study
from initlab.study.store import Store

SCHEME = """
from initlab import register_scheme
from initlab.core.laws import Normal

STD = {std}

@register_scheme
def stale_scheme(p):
    # {comment}
    return Normal(STD)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder whose modules can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("stale_"):
            del sys.modules[name]
    _forget()


def _forget() -> None:
    SCHEMES._items.pop("stale_scheme", None)
    SCHEMES._keys.pop("stalescheme", None)


def written(home: Path, name: str, text: str) -> object:
    """The module of that text, imported anew."""
    (home / f"{name}.py").write_text(text)
    sys.modules.pop(name, None)
    _forget()
    linecache.clearcache()
    importlib.invalidate_caches()
    return importlib.import_module(name)


def study(home: Path, *, std: float, comment: str = "", changed: Changed = "refuse") -> list[RunRecord]:
    written(home, "stale_scheme", SCHEME.format(std=std, comment=comment))
    asked = design(schemes=("zeros", "stale_scheme"), seeds=2)
    return run_study(asked, dataset(), home / "out", trainer=trainer("fast"), jobs=1, changed=changed)


def losses(records: list[RunRecord]) -> list[float]:
    return [record.final("train_loss") for record in records if record.spec.scheme == "stale_scheme"]


def test_an_edited_scheme_is_refused_taken_or_made_anew(home: Path) -> None:
    first = study(home, std=1e-9)
    assert losses(study(home, std=1e-9, comment="a comment alone")) == losses(first)
    said = r"2 of 4 finished runs are not what would be made: 'stale_scheme:STD' is another .*--allow-changed.*--fresh"
    with pytest.raises(OptionError, match=said):
        study(home, std=0.15)
    taken = study(home, std=0.15, changed="allow")
    assert losses(taken) == losses(first)
    assert [bool(record.changed) for record in taken] == [False, False, True, True]
    anew = study(home, std=0.15, changed="fresh")
    assert min(losses(anew)) > max(losses(first)) + 0.1
    assert [record.changed for record in anew] == [""] * 4
    assert len(list((home / "out" / "records" / "aside").glob("*.npz"))) == 4
    assert losses(study(home, std=0.15)) == losses(anew)


def test_a_record_is_named_by_its_question_and_the_users_code(home: Path) -> None:
    records = study(home, std=0.5)
    names = Store(home / "out" / "records").ids()
    assert sorted(record.name for record in records) == names
    assert [("-" in record.name, record.code.id != "") for record in records] == [(False, False)] * 2 + [
        (True, True)
    ] * 2
    loaded = Store(home / "out" / "records").load(records[-1].name)
    assert loaded.code == records[-1].code
    assert loaded.code.parts.keys() >= {"stale_scheme:STD", "stale_scheme:stale_scheme"}


def test_a_record_from_before_code_was_recorded_is_refused_where_the_user_has_a_part(home: Path) -> None:
    records = study(home, std=0.5)
    store = Store(home / "out" / "records")
    for record in records[2:]:
        (store.folder / f"{record.name}.npz").unlink()
        store.commit(replace(record, code=records[0].code))
    with pytest.raises(OptionError, match="its code was not recorded"):
        study(home, std=0.5)
    assert losses(study(home, std=0.5, changed="allow")) == losses(records)


def plain(folder: Path, changed: Changed = "refuse") -> list[RunRecord]:
    return run_study(design(seeds=2), dataset(), folder, trainer=trainer("fast"), jobs=1, changed=changed)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("numerics", "2", "numerics are version 2, not 1"), ("jax", "99.1.0", "jax is 99.1.0, not ")],
)
def test_other_numerics_and_another_release_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str, said: str
) -> None:
    before = plain(tmp_path)
    found = {**before[0].env, key: value}
    monkeypatch.setattr("initlab.study.run.environment", lambda *_, **__: found)
    with pytest.raises(OptionError, match=said):
        plain(tmp_path)
    assert [bool(record.changed) for record in plain(tmp_path, "allow")] == [True] * 4
    assert plain(tmp_path, "fresh")[0].env[key] == value


@pytest.mark.parametrize("key", ["jax", "cpu"])
def test_a_patch_release_and_another_processor_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    before = plain(tmp_path)
    other = f"{before[0].env[key]}.post9"
    monkeypatch.setattr("initlab.study.run.environment", lambda *_, **__: {**before[0].env, key: other})
    with pytest.warns(ChangedWarning, match=f"4 runs in .* were made elsewhere: {key} is .*post9, not "):
        records = plain(tmp_path)
    assert [record.changed for record in records] == [""] * 4


NET = """
import json
import torch
from torch import nn

RATE = {rate}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)) + RATE)

def build():
    with open("scale.json") as file:
        json.load(file)
    return Net()
"""
ASKED = ("compare", "--build", "stale_net:build", "--data", "iris", "--schemes", "he_normal", "--seeds", "1")


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*ASKED, "--epochs", "1", "--jobs", "1", "--out", "runs", *argv])
    return code, out.getvalue(), err.getvalue()


def test_an_edited_model_and_a_file_that_it_read_are_named_from_the_command_line(home: Path) -> None:
    pytest.importorskip("torch")
    (home / "scale.json").write_text("1")
    written(home, "stale_net", NET.format(rate=1.5))
    code, out, err = run()
    assert (code, err) == (0, "")
    (home / "scale.json").write_text("2")
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "1 of 1 finished runs are not what would be made: 'file scale.json' is another (runs/records)" in err
    (home / "scale.json").write_text("1")
    written(home, "stale_net", NET.format(rate=9.5))
    code, out, err = run()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "'stale_net:RATE' is another" in err
    code, out, err = run("--allow-changed")
    assert code == 0
    assert "he_normal *" in out
    assert "* 1 of 1 runs were made with other code" in " ".join(out.split())
    told = json.loads((home / "runs" / "comparison.json").read_text())
    assert told["runs"][0]["changed"] == "'stale_net:RATE' is another"
    assert "other code" in reporting.report("runs").read_text()
    assert run("--fresh")[0] == 0
    assert run()[0] == 0
    assert run("--fresh", "--allow-changed")[0] == 2
