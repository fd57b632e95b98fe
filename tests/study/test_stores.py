"""Stores as a whole: checked, cleaned, packed, unpacked and put together, from the command line."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from tests.study.test_store import SPEC, record

from initlab.cli.main import main
from initlab.core.identity.walk import Code
from initlab.study.store import Store

OWN = Code({"net:build": "0123456789abcdef"}, ("net:build: getattr",))


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in argv])
    return code, out.getvalue(), err.getvalue()


def filled(folder: Path, *seeds: int, **changes: object) -> Store:
    store = Store(folder / "records")
    store.commit(*(record(replace(SPEC, seed=seed), **changes) for seed in seeds))
    return store


def test_a_whole_store_is_verified_and_a_damaged_record_named(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2)
    filled(tmp_path, 1, code=OWN)
    assert run("store", "verify", tmp_path) == (0, "3 records are whole, 0 damaged\n", "")
    file = store.folder / f"{store.ids()[0]}.npz"
    raw = file.read_bytes()[:-100]
    file.write_bytes(raw)
    code, out, _ = run("store", "verify", store.folder, "--json")
    told = json.loads(out)
    assert (code, told["records"], len(told["damaged"])) == (4, 2, 1)
    assert file.name in told["damaged"][0]
    assert raw == file.read_bytes()


def test_garbage_is_what_was_set_aside_or_left_by_a_killed_writer(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2)
    store.set_aside(store.ids()[:1])
    (store.folder / ".tmp-dead").write_bytes(b"half")
    kept = store.ids()
    code, out, _ = run("store", "gc", tmp_path)
    assert (code, out.startswith("2 files removed")) == (0, True)
    assert store.ids() == kept
    assert run("store", "gc", tmp_path)[1] == "0 files removed, 0.0 MB\n"


def test_an_exported_store_comes_back_record_by_record(tmp_path: Path) -> None:
    filled(tmp_path / "a", 1, 2)
    store = filled(tmp_path / "a", 1, code=OWN)
    file = tmp_path / "all.zip"
    assert run("store", "export", tmp_path / "a", "--out", file)[:2] == (0, f"{file}: 3 records\n")
    assert run("store", "import", file, tmp_path / "b")[:2] == (0, "3 records added, 0 were there\n")
    assert run("store", "import", file, tmp_path / "b")[:2] == (0, "0 records added, 3 were there\n")
    back = Store(tmp_path / "b" / "records")
    assert {n: (store.folder / f"{n}.npz").read_bytes() for n in store.ids()} == {
        n: (back.folder / f"{n}.npz").read_bytes() for n in back.ids()
    }
    assert [r.code for r in back.load_all() if r.code.parts] == [OWN]


def test_stores_are_put_together_and_other_numbers_are_named(tmp_path: Path) -> None:
    filled(tmp_path / "a", 1, 2)
    filled(tmp_path / "sweep" / "one", 2, 3, wall=9.0)
    filled(tmp_path / "sweep" / "two", 4)
    assert run("store", "merge", tmp_path / "sweep", tmp_path / "a")[:2] == (0, "2 records added, 1 were there\n")
    filled(tmp_path / "c", 1, status="ok", reason="", diverged_step=None)
    code, out, _ = run("store", "merge", tmp_path / "c", tmp_path / "a")
    assert code == 3
    assert f"1 were there with other numbers and stay as they were: {replace(SPEC, seed=1).run_id}" in out
    code, _, err = run("store", "merge", tmp_path / "c", tmp_path / "sweep")
    assert (code, "there are 2 stores" in err) == (2, True)


def test_a_file_that_is_no_export_adds_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "a", 1)
    torn, strange = tmp_path / "torn.zip", tmp_path / "strange.zip"
    run("store", "export", tmp_path / "a", "--out", torn)
    torn.write_bytes(torn.read_bytes()[:-30])
    with zipfile.ZipFile(strange, "w") as archive:
        archive.writestr("../evil.npz", b"x")
    for file in (torn, strange):
        code, out, err = run("store", "import", file, tmp_path / "b")
        assert (code, out, err.count("\n")) == (4, "", 1)
        assert not (tmp_path / "b").exists()


def test_comparisons_share_a_store_and_each_run_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("compare", "iris", "--schemes", "zeros", "--epochs", "1", "--jobs", "1", "--store", "shared")
    assert run(*asked, "--seeds", "2", "--out", "a")[0] == 0
    walls = {r.name: r.wall for r in Store(tmp_path / "shared").load_all()}
    assert len(walls) == 2
    monkeypatch.setattr("initlab.study.run.supervise", None)  # nothing is left to be trained
    assert run(*asked, "--seeds", "1", "--out", "b/c")[0] == 0
    assert {r.name: r.wall for r in Store(tmp_path / "shared").load_all()} == walls
    assert not (tmp_path / "a" / "records").exists()
    assert json.loads((tmp_path / "b" / "c" / "comparison.json").read_text())["store"] == "../../shared"
    assert run("report", "b/c")[0] == 0
    assert run("store", "verify", "shared")[1] == "2 records are whole, 0 damaged\n"


@pytest.mark.parametrize("argv", [("verify", "nowhere"), ("gc", "nowhere"), ("export", "nowhere", "--out", "x.zip")])
def test_a_folder_without_records_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("store", *argv)
    assert (code, out) == (2, "")
    assert err == "initlab: error: there are no records (nowhere): name a folder of initlab compare\n"
    assert not list(tmp_path.iterdir())
