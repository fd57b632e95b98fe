"""The four small sets that travel in the package: iris, wine, breast_cancer and digits.

Their files hold, digit for digit, what scikit-learn ships; ``data/LICENSES.md`` says whom they come from.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError
from initlab.core.training.dataset import Dataset, Preprocess
from initlab.tasks.files import read_bytes, sha256
from initlab.tasks.preprocess import prepared, preprocess_named
from initlab.tasks.registry import TASKS, register_task
from initlab.tasks.split import shuffled_split

_CC_BY = "CC BY 4.0 (UCI Machine Learning Repository)"


@dataclass(frozen=True)
class _Table:
    """One file of the package: a line of names, then numbers, the class index last.

    Attributes:
        file: Its name in ``data/``.
        sha256: Of its unzipped bytes, hex.
    """

    file: str
    sha256: str

    def read(self) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Features (rows, features) and class indices (rows,), in the order of the file."""
        path = Path(__file__).parent / "data" / self.file
        raw = read_bytes(path)
        if sha256(raw) != self.sha256:
            raise DataError("a file of initlab's own was changed", where=str(path), fix="install initlab again")
        numbers = np.loadtxt(io.BytesIO(raw), delimiter=",", skiprows=1)
        return numbers[:, :-1], numbers[:, -1].astype(np.int32)


_IRIS = _Table("iris.csv", "e37a27ba3195d32ffbbc629c711772f2c3fb4f8eab3cc7488a143346bb900542")
_WINE = _Table("wine.csv", "6c75822a8a38ddfff660a8cd569ad5b8311d54cdc9fd55fe2998f1dc114240d5")
_BREAST_CANCER = _Table("breast_cancer.csv", "4740e7ad2ffeba943f4319db5016c492f16c57ec0eb3448b77795eaf26445dcf")
_DIGITS = _Table("digits.csv.gz", "bb91ac08ceeb4eb7ddca61f0af46532f91c54eea07aab185ef61474328881e05")


@register_task(
    "iris",
    title="Iris flowers, three species by the size of sepals and petals",
    source="Fisher (1936), Annals of Eugenics 7(2), 179-188; UCI, doi 10.24432/C56C76, as corrected by scikit-learn",
    license=_CC_BY,
    rows=150,
    features=4,
    classes=3,
)
def iris(*, data: Path | None = None, preprocess: Preprocess = "standardise", split: int = 42) -> Dataset:
    """Fisher's iris flowers, 120 to train on and 30 to test.

    Args:
        data: None; it travels with initlab.
        preprocess: ``standardise`` scales as a ``StandardScaler`` fitted on the 120 training rows (in float64, then
            rounded to float32); ``none`` leaves centimetres.
        split: The split is that of ``train_test_split(test_size=0.2, random_state=split)``.

    Example:
        >>> iris().x_train.shape, iris().class_names
        ((120, 4), ('setosa', 'versicolor', 'virginica'))
    """
    return _loaded("iris", _IRIS, ("setosa", "versicolor", "virginica"), preprocess, split)


@register_task(
    "wine",
    title="Wines of one region of Italy, three cultivars by chemical analysis",
    source="Aeberhard and Forina (1992), Wine; UCI, doi 10.24432/C5PC7J",
    license=_CC_BY,
    rows=178,
    features=13,
    classes=3,
)
def wine(*, data: Path | None = None, preprocess: Preprocess = "standardise", split: int = 42) -> Dataset:
    """Wines by their chemistry, 142 to train on and 36 to test, split and standardised as ``iris``.

    Example:
        >>> wine().x_train.shape, wine().class_names
        ((142, 13), ('class_0', 'class_1', 'class_2'))
    """
    return _loaded("wine", _WINE, ("class_0", "class_1", "class_2"), preprocess, split)


@register_task(
    "breast_cancer",
    title="Breast tumours, malignant or benign by the shape of cell nuclei",
    source="Wolberg, Mangasarian and Street (1993), Breast Cancer Wisconsin (Diagnostic); UCI, doi 10.24432/C5DW2B",
    license=_CC_BY,
    rows=569,
    features=30,
    classes=2,
)
def breast_cancer(*, data: Path | None = None, preprocess: Preprocess = "standardise", split: int = 42) -> Dataset:
    """Tumours by measures of their cell nuclei, 455 to train on and 114 to test, split and standardised as ``iris``.

    Example:
        >>> breast_cancer().x_train.shape, breast_cancer().class_names
        ((455, 30), ('malignant', 'benign'))
    """
    return _loaded("breast_cancer", _BREAST_CANCER, ("malignant", "benign"), preprocess, split)


@register_task(
    "digits",
    title="Handwritten digits of 8 x 8 pixels",
    source="Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, test part; UCI, doi 10.24432/C50P49",
    license=_CC_BY,
    rows=1797,
    features=64,
    classes=10,
)
def digits(*, data: Path | None = None, preprocess: Preprocess = "unit", split: int = 42) -> Dataset:
    """Digits of 8 x 8 pixels from 0 to 1, 1437 to train on and 360 to test, split as ``iris``.

    Example:
        >>> digits().x_train.shape, float(digits().x_train.max()), digits().image_shape
        ((1437, 64), 1.0, (8, 8))
    """
    found = _loaded("digits", _DIGITS, tuple("0123456789"), preprocess, split, largest=16)
    return replace(found, image_shape=(8, 8))


def _loaded(
    name: str,
    table: _Table,
    class_names: tuple[str, ...],
    preprocess: Preprocess,
    split: int,
    *,
    largest: float | None = None,
) -> Dataset:
    x, y = table.read()
    how = preprocess_named(preprocess)
    train, test = shuffled_split(len(x), seed=split)
    x_train, x_test = prepared(x[train], x[test], how, largest=largest)
    return Dataset(
        name,
        x_train,
        y[train],
        x_test,
        y[test],
        class_names=class_names,
        source=TASKS[name].source,
        digest=table.sha256,
        preprocess=how,
    )
