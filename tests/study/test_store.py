"""The store: whole records or none, whoever writes, whatever kills the writer."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.study.tiny_study import ROOT, content

from initlab.core.errors import OptionError, ResourceError, StoreError
from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Budget, Histogram, Optimizer
from initlab.study.codec import decode, encode
from initlab.study.records import RunRecord, RunSpec
from initlab.study.store import Store

SPEC = RunSpec(
    scheme="he_normal",
    task="iris",
    data_digest="ab" * 32,
    arch=Mlp((4, 64, 32, 3)),
    optimizer=Optimizer(),
    budget=Budget(50, 32),
    seed=7,
    output_scheme="glorot_uniform",
    dialect="keras",
    histogram_epochs=(0, 50),
)


def record(spec: RunSpec = SPEC, **changes: object) -> RunRecord:
    values = np.array([np.nan, 0.5, np.inf])
    made = RunRecord(
        run_id=spec.run_id,
        spec=spec,
        status="diverged",
        reason="loss became inf at step 2 (epoch 2)",
        diverged_step=2,
        wall=0.125,
        env={"python": "3.11.7"},
        curves={"train_loss": values, "test_loss": values + 1},
        layers={"dead": np.arange(6.0).reshape(2, 3)},
        histograms=(
            Histogram(0, "0", "weight", -1.5, 1.5, np.array([1, 2, 3], np.int32)),
            Histogram(50, "1", "gradient", float("nan"), float("inf"), np.array([4, 5], np.int32)),
        ),
        predictions=np.array([2, 0, 1], np.int32),
    )
    return replace(made, **changes)


def same(a: RunRecord, b: RunRecord) -> bool:
    def text(r: RunRecord) -> str:  # NaN is not equal to itself, its text is
        return repr((content(r), r.wall, dict(r.env)))

    return text(a) == text(b)


def rewritten(data: bytes, *, sums: bool = True, **members: bytes | None) -> bytes:
    """The record with members replaced (``__`` stands for ``/``, None removes), its checksums made right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = parts.pop("SHA256SUMS")
    for name, value in members.items():
        path = name.replace("__", "/").replace("_dot_", ".")
        parts[path] = value if value is not None else b""
        if value is None:
            del parts[path]
    if sums:
        manifest = "".join(f"{hashlib.sha256(v).hexdigest()}  {k}\n" for k, v in parts.items()).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in {**parts, "SHA256SUMS": manifest}.items():
            archive.writestr(name, value)
    return out.getvalue()


def head(**changes: object) -> bytes:
    with zipfile.ZipFile(io.BytesIO(encode(record()))) as archive:
        return json.dumps({**json.loads(archive.read("run.json")), **changes}).encode()


# run_id


def test_the_run_id_of_a_spec_is_frozen():
    assert SPEC.run_id == "3bcd910a228bd422adac8a72"  # regression: every store in the world is keyed by it


OTHER = {
    "scheme": "zeros",
    "task": "wine",
    "data_digest": "cd" * 32,
    "arch": Mlp((4, 64, 32, 3), activation="tanh"),
    "optimizer": Optimizer(learning_rate=0.01),
    "budget": Budget(51, 32),
    "seed": 8,
    "loss": "mse",
    "output_scheme": None,
    "bias_scheme": "native",
    "dialect": None,
    "histogram_epochs": (0,),
    "framework": "torch",
    "dtype": "float64",
    "init_seed": 9,
    "data_seed": 9,
}


@pytest.mark.parametrize("name", [f.name for f in fields(RunSpec)])
def test_a_change_of_any_field_of_a_spec_changes_its_run_id(name):
    assert replace(SPEC, **{name: OTHER[name]}).run_id != SPEC.run_id


# bytes


def test_a_record_comes_back_as_it_was_written():
    assert same(decode(encode(record())), record())


def test_equal_records_have_equal_bytes():
    assert encode(record()) == encode(record())


def test_a_record_without_arrays_comes_back():
    bare = record(curves={}, layers={}, histograms=(), predictions=None)
    assert same(decode(encode(bare)), bare)


def test_a_record_opens_with_numpy_and_without_pickle():
    with np.load(io.BytesIO(encode(record())), allow_pickle=False) as opened:
        assert opened["curves/test_loss"][1] == 1.5
        assert json.loads(opened["run.json"])["status"] == "diverged"


def test_the_checksums_are_those_that_sha256sum_checks(tmp_path):
    with zipfile.ZipFile(io.BytesIO(encode(record()))) as archive:
        archive.extractall(tmp_path)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_byte_is_found_or_harmless(data):
    raw = bytearray(encode(record()))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(StoreError):  # found
        assert same(decode(bytes(raw)), record())  # harmless: the ZIP's own dates and flags carry nothing of ours


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=50, deadline=None)
def test_a_torn_record_is_found(share):
    raw = encode(record())
    with pytest.raises(StoreError, match="damaged"):
        decode(raw[: int(share * len(raw))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curves__test_loss_dot_npy": b"x", "sums": False}, "checksum of 'curves/test_loss.npy' differs"),
        ({"predictions_dot_npy": None, "sums": False}, "checksum of 'predictions.npy' differs"),
        ({"extra": b"x", "sums": False}, "checksum of 'extra' differs"),
        ({"run_dot_json": None}, "'run.json' is missing"),
        ({"run_dot_json": head(run_id="0" * 24)}, "its spec says"),
        ({"run_dot_json": head(status="splendid")}, "unknown status 'splendid'"),
        ({"run_dot_json": head(spec={"format": 1})}, "is missing"),
        ({"run_dot_json": b"{"}, "damaged"),
        ({"predictions_dot_npy": b"\x93NUMPY"}, "damaged"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(StoreError, match=message) as caught:
        decode(rewritten(encode(record()), **change), where="here.npz")
    assert "here.npz" in str(caught.value)
    assert "delete the file" in str(caught.value)


def test_a_pickled_array_is_never_opened():
    out = io.BytesIO()
    np.lib.format.write_array(out, np.array([{"code": "evil"}], object), allow_pickle=True)
    with pytest.raises(StoreError, match="damaged"):
        decode(rewritten(encode(record()), predictions_dot_npy=out.getvalue()))


def test_a_record_of_a_newer_format_says_so():
    with pytest.raises(StoreError, match="written by a newer initlab") as caught:
        decode(rewritten(encode(record()), run_dot_json=head(format=2)))
    assert caught.value.exit_code == 4


# files


def test_a_committed_record_is_loaded_by_its_id(tmp_path):
    store = Store(tmp_path / "a" / "records")
    store.commit(record())
    assert store.has(SPEC.run_id)
    assert store.ids() == [SPEC.run_id]
    assert same(store.load(SPEC.run_id), record())


def test_a_store_that_nobody_wrote_to_is_empty_and_leaves_no_folder(tmp_path):
    store = Store(tmp_path / "records")
    assert store.ids() == []
    assert not store.has(SPEC.run_id)
    assert not store.folder.exists()


def test_the_first_of_two_records_of_one_run_stays(tmp_path):
    store = Store(tmp_path)
    store.commit(record(wall=1.0))
    store.commit(record(wall=2.0))
    assert store.load(SPEC.run_id).wall == 1.0


def test_records_are_loaded_in_the_order_asked_for(tmp_path):
    store = Store(tmp_path)
    specs = [replace(SPEC, seed=seed) for seed in range(3)]
    store.commit(*(record(spec) for spec in specs))
    assert [r.spec.seed for r in store.load_all([s.run_id for s in reversed(specs)])] == [2, 1, 0]
    assert len(store.load_all()) == 3


@pytest.mark.parametrize("name", ["", "..", "../x", "0" * 23, "0" * 25, "A" * 24, "g" * 24, "/etc/passwd"])
def test_only_an_id_is_made_into_a_file_name(tmp_path, name):
    with pytest.raises(StoreError, match="not the id of a run"):
        Store(tmp_path).load(name)


def test_a_record_under_another_runs_name_is_refused(tmp_path):
    store = Store(tmp_path)
    store.commit(record())
    other = replace(SPEC, seed=8).run_id
    (tmp_path / f"{SPEC.run_id}.npz").rename(tmp_path / f"{other}.npz")
    with pytest.raises(StoreError, match=f"it holds run {SPEC.run_id}"):
        store.load(other)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(StoreError, match=f"no record of run {SPEC.run_id}"):
        Store(tmp_path).load(SPEC.run_id)


@pytest.mark.parametrize("inside", ["", "deeper", "deeper/still"])
def test_a_folder_that_is_a_file_is_refused_at_once(tmp_path, inside):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="is a file"):
        Store(tmp_path / "file" / inside)


def test_a_full_disk_leaves_nothing_half_and_can_be_resumed(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ResourceError, match="the disk is full") as caught:
            store.commit(record())
    assert caught.value.exit_code == 5
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    store.commit(record())
    assert store.has(SPEC.run_id)


def test_a_file_system_without_hard_links_is_written_to_by_renaming(tmp_path, monkeypatch):
    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    Store(tmp_path).commit(record())
    assert same(Store(tmp_path).load(SPEC.run_id), record())
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_leftovers_of_a_killed_writer_are_ignored_and_removed(tmp_path):
    (tmp_path / ".tmp-dead").write_bytes(b"half")
    store = Store(tmp_path)
    assert store.ids() == []
    store.clean()
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_files_of_a_writer_at_work_are_not_taken_for_leftovers(tmp_path):
    import fcntl

    (tmp_path / ".tmp-alive").write_bytes(b"half")
    with open(tmp_path / ".lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        Store(tmp_path).clean()
    assert list(tmp_path.glob(".tmp-*"))


# writers that are killed, writers that meet

WRITER = """
import sys
from dataclasses import replace
from tests.study.test_store import SPEC, record
from initlab.study.store import Store
import numpy as np
store, first, count, wall = Store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
print("ready", flush=True)
for seed in range(first, first + count):
    store.commit(record(replace(SPEC, seed=seed), predictions=np.zeros(20_000, np.int32), wall=wall))
"""


def writer(folder: Path, *, first: int = 0, count: int = 100_000, wall: float = 1.0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(count), str(wall)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def test_writers_killed_in_mid_write_leave_whole_records_only(tmp_path):
    for round_ in range(4):
        with writer(tmp_path, first=1000 * round_) as process:
            time.sleep(0.05 + 0.037 * round_)
            process.send_signal(signal.SIGKILL)
        Store(tmp_path).load_all()  # raises if any is torn
    store = Store(tmp_path)
    store.clean()
    assert len(store.ids()) >= 4
    assert not list(tmp_path.glob(".tmp-*"))
    assert {p.suffix for p in tmp_path.iterdir() if p.name != ".lock"} == {".npz"}


def test_two_writers_of_the_same_runs_do_not_disturb_each_other(tmp_path):
    with writer(tmp_path, count=60, wall=1.0) as one, writer(tmp_path, count=60, wall=2.0) as other:
        codes = [one.wait(), other.wait()]
    assert codes == [0, 0]
    records = Store(tmp_path).load_all()
    assert len(records) == 60
    assert {r.wall for r in records} <= {1.0, 2.0}
    assert not list(tmp_path.glob(".tmp-*"))
