"""Where the MNIST family is looked for: every layout, the order of the places, and what is torn or not genuine.

Tiny sets stand for the real ones; only the table of checksums is exchanged.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from initlab.core.errors import DataError
from initlab.tasks.files import sha256
from initlab.tasks.find import load_idx_set
from initlab.tasks.idx import decode_idx, encode_idx
from initlab.tasks.idxset import FILES, Arrays, IdxSet
from initlab.tasks.images import FASHION_MNIST, MNIST

Write = Callable[[Path], None]

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES


def tiny(shift: int) -> dict[str, np.ndarray]:
    images = np.arange(9 * 4, dtype=np.uint8).reshape(9, 2, 2) + np.uint8(shift)
    labels = np.arange(9, dtype=np.uint8)
    return dict(zip(FILES, (images[:6], labels[:6], images[6:], labels[6:]), strict=True))


DIGITS, GARMENTS = tiny(0), tiny(100)


def checksums(arrays: Arrays) -> dict[str, str]:
    return {file: sha256(encode_idx(array)) for file, array in arrays.items()}


# The folders and places of the real sets, with no way to the network.
TINY_MNIST = replace(MNIST, sha256=checksums(DIGITS), mirrors=())
TINY_FASHION = replace(FASHION_MNIST, sha256=checksums(GARMENTS), mirrors=())


def idx(folder: Path, arrays: Arrays = DIGITS, *, gz: bool = False, spelled: str = "-idx") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, array in arrays.items():
        raw = encode_idx(array)
        name = file.replace("-idx", spelled) + (".gz" if gz else "")
        (folder / name).write_bytes(gzip.compress(raw) if gz else raw)


def npz(path: Path, arrays: Arrays = DIGITS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{FILES[file]: array for file, array in arrays.items()})


def garments(folder: Path) -> None:
    idx(folder, GARMENTS, gz=True)


def assert_read(idx_set: IdxSet, arrays: Arrays, data: Path | None = None) -> None:
    found = load_idx_set(idx_set, data)
    assert list(found) == list(FILES)
    assert all(np.array_equal(found[file], arrays[file]) for file in FILES)


@pytest.mark.parametrize(
    ("where", "write"),
    [
        ("", idx),
        ("", lambda folder: idx(folder, gz=True)),
        ("", lambda folder: idx(folder, spelled=".idx")),
        ("MNIST/raw", idx),
        ("MNIST/raw", lambda folder: idx(folder, gz=True)),
        ("raw", idx),
        ("mnist", idx),
        ("mnist.npz", npz),
        ("datasets/mnist.npz", npz),
    ],
    ids=["raw", "gz", "dotted", "torchvision", "torchvision gz", "root/MNIST", "by name", "npz", "Keras home"],
)
def test_a_folder_of_the_users_is_read_in_every_layout(tmp_path: Path, where: str, write: Write) -> None:
    write(tmp_path / where)
    assert_read(TINY_MNIST, DIGITS, tmp_path)


@pytest.mark.parametrize("where", ["", "FashionMNIST/raw", "fashion-mnist", "datasets/fashion-mnist"])
def test_garments_are_read_in_every_layout(tmp_path: Path, where: str) -> None:
    garments(tmp_path / where)
    assert_read(TINY_FASHION, GARMENTS, tmp_path)


def test_an_npz_can_be_named_itself(tmp_path: Path) -> None:
    npz(tmp_path / "any_name.npz")
    assert_read(TINY_MNIST, DIGITS, tmp_path / "any_name.npz")


def test_one_folder_can_hold_both_sets(tmp_path: Path) -> None:
    idx(tmp_path / "MNIST" / "raw")
    garments(tmp_path / "FashionMNIST" / "raw")
    assert_read(TINY_MNIST, DIGITS, tmp_path)
    assert_read(TINY_FASHION, GARMENTS, tmp_path)


# Each place of MNIST with the settings that move it, relative to the home folder; the order is that of the search.
MNIST_PLACES = [
    (".cache/initlab/mnist", {}),
    ("work/project/data/MNIST/raw", {}),
    ("work/data/MNIST/raw", {}),
    ("data/MNIST/raw", {}),
    (".cache/torch/MNIST/raw", {}),
    (".cache/torch/datasets/MNIST/raw", {}),
    (".keras/datasets", {}),
]
MOVED = [
    ("elsewhere/mnist", {"INITLAB_CACHE": "elsewhere"}),
    ("xdg/initlab/mnist", {"XDG_CACHE_HOME": "xdg"}),
    ("xdg/torch/datasets/MNIST/raw", {"XDG_CACHE_HOME": "xdg"}),
    ("torch/datasets/MNIST/raw", {"TORCH_HOME": "torch"}),
    ("keras/datasets", {"KERAS_HOME": "keras"}),
    ("mine/MNIST/raw", {"INITLAB_DATA": "mine"}),
]


def write_place(folder: Path, arrays: Arrays = DIGITS) -> None:
    if folder.name == "datasets":
        npz(folder / "mnist.npz", arrays)
    else:
        idx(folder, arrays)


@pytest.mark.parametrize(("place", "settings"), MNIST_PLACES + MOVED)
@pytest.mark.skipif("sys.platform != 'linux'", reason="the places are those of Linux")
def test_mnist_is_found_in(
    place: str, settings: dict[str, str], bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, folder in settings.items():
        monkeypatch.setenv(variable, str(bare_machine / folder))
    write_place(bare_machine / place)
    assert_read(TINY_MNIST, DIGITS)


@pytest.mark.parametrize("earlier", range(len(MNIST_PLACES) - 1))
@pytest.mark.skipif("sys.platform != 'linux'", reason="the places are those of Linux")
def test_an_earlier_place_wins(earlier: int, bare_machine: Path) -> None:
    write_place(bare_machine / MNIST_PLACES[earlier][0])
    write_place(bare_machine / MNIST_PLACES[earlier + 1][0], GARMENTS)
    assert_read(TINY_MNIST, DIGITS)


def test_the_variable_wins_over_the_cache(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(bare_machine / "mine"))
    idx(bare_machine / "mine")
    write_place(bare_machine / MNIST_PLACES[0][0], GARMENTS)
    assert_read(TINY_MNIST, DIGITS)


def test_the_option_wins_over_the_variable(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(bare_machine / "mine"))
    idx(bare_machine / "mine", GARMENTS)
    idx(bare_machine / "named")
    assert_read(TINY_MNIST, DIGITS, bare_machine / "named")


def test_a_variable_whose_folder_lacks_the_set_lets_the_search_go_on(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(bare_machine / "mine"))
    idx(bare_machine / "mine" / "MNIST" / "raw")
    garments(bare_machine / "data" / "FashionMNIST" / "raw")
    assert_read(TINY_FASHION, GARMENTS)


def test_a_cache_with_half_of_the_set_is_passed_over(bare_machine: Path) -> None:
    idx(bare_machine / "work" / "project" / "data" / "MNIST" / "raw")
    (bare_machine / "work" / "project" / "data" / "MNIST" / "raw" / TEST_LABELS).unlink()
    idx(bare_machine / "data" / "MNIST" / "raw")
    assert_read(TINY_MNIST, DIGITS)


def test_garments_are_looked_for_where_debian_puts_them_last() -> None:
    assert FASHION_MNIST.places[-2:] == ("$KERAS_HOME/datasets/fashion-mnist", "/usr/share/datasets/fashion-mnist")


def flipped(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def fewer_labels(raw: bytes) -> bytes:
    return encode_idx(decode_idx(raw, where="labels")[:-1])


FAULTS: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "truncated gz": (TRAIN_IMAGES, lambda raw: gzip.compress(raw)[:-9], "the gzip stream is torn"),
    "broken gz": (TRAIN_IMAGES, lambda raw: flipped(gzip.compress(raw)[:-4]) + b"abcd", "the gzip stream is torn"),
    "flipped byte": (TEST_IMAGES, flipped, "not the t10k-images-idx3-ubyte of mnist, sha256 is [0-9a-f]{12}... and"),
    "wrong magic": (
        TRAIN_IMAGES,
        lambda raw: b"\x00\x00\x0d" + raw[3:],
        "no IDX file of bytes, it begins with 00000d03",
    ),
    "web page": (TRAIN_IMAGES, lambda raw: b"<html>", "no IDX file of bytes, it begins with 3c68746d"),
    "empty": (TRAIN_IMAGES, lambda raw: b"", "no IDX file of bytes, it begins with nothing"),
    "torn header": (TRAIN_IMAGES, lambda raw: raw[:9], "the IDX header is torn, 9 bytes for 3 axes"),
    "a byte too few": (TRAIN_LABELS, lambda raw: raw[:-1], r"13 bytes where the IDX header \(6,\) says 14"),
    "a byte too many": (TRAIN_LABELS, lambda raw: raw + b"\0", r"15 bytes where the IDX header \(6,\) says 14"),
    "wrong label count": (TRAIN_LABELS, fewer_labels, "not the train-labels-idx1-ubyte of mnist"),
    "another set": (TRAIN_IMAGES, lambda raw: encode_idx(GARMENTS[TRAIN_IMAGES]), "not the train-images-idx3-ubyte"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_torn_or_not_genuine_is_one_line_with_its_path(fault: str, tmp_path: Path) -> None:
    file, spoil, words = FAULTS[fault]
    idx(tmp_path)
    (tmp_path / file).write_bytes(spoil((tmp_path / file).read_bytes()))
    with pytest.raises(DataError, match=words) as caught:
        load_idx_set(TINY_MNIST, tmp_path)
    assert str(tmp_path / file) in str(caught.value)
    assert "replace or remove that file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spoilt_cache_is_an_error_not_a_reason_to_look_elsewhere(bare_machine: Path) -> None:
    idx(bare_machine / "work" / "project" / "data" / "MNIST" / "raw", GARMENTS)
    idx(bare_machine / "data" / "MNIST" / "raw")
    with pytest.raises(DataError, match="not the train-images-idx3-ubyte of mnist"):
        load_idx_set(TINY_MNIST, None)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "the npz cannot be read, it is no zip archive"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"\0\1\2\3", b"\0\1\2\4")), "cannot be read|sha256"),
        (lambda path: np.savez(path, x_train=DIGITS[TRAIN_IMAGES]), "y_train is not a file in the archive"),
        (lambda path: npz(path, GARMENTS), r"not the train-images-idx3-ubyte of mnist.* \(x_train of .*mnist.npz\)"),
        (lambda path: npz(path, {f: a.astype(np.float32) for f, a in DIGITS.items()}), "x_train is float32, not uint8"),
        (lambda path: np.savez(path, **dict.fromkeys(FILES.values(), np.array([None]))), "allow_pickle=False"),
    ],
    ids=["truncated", "changed", "lacks an array", "another set", "floats", "pickled objects"],
)
def test_an_npz_that_is_torn_or_not_genuine_is_one_line(
    spoil: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "mnist.npz", **{FILES[file]: array for file, array in DIGITS.items()})
    spoil(tmp_path / "mnist.npz")
    with pytest.raises(DataError, match=words) as caught:
        load_idx_set(TINY_MNIST, tmp_path)
    assert "mnist.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_lacks_one_file_is_told_which(tmp_path: Path) -> None:
    idx(tmp_path)
    (tmp_path / TEST_LABELS).unlink()
    with pytest.raises(DataError, match="there is no t10k-labels-idx1-ubyte"):
        load_idx_set(TINY_MNIST, tmp_path)


def test_a_folder_without_the_set_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no mnist .*: give the folder of its four IDX files"):
        load_idx_set(TINY_MNIST, tmp_path)


def test_a_folder_that_does_not_exist_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data names nothing that exists"):
        load_idx_set(TINY_MNIST, tmp_path / "none")


def test_a_variable_that_names_no_folder_is_an_error(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(bare_machine / "none"))
    with pytest.raises(DataError, match="INITLAB_DATA names nothing that exists"):
        load_idx_set(TINY_MNIST, None)
