"""A user's own arrays as a data set."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from initlab.core.errors import DataError, OptionError, ShapeError
from initlab.core.training.dataset import Dataset, Kind
from initlab.tasks.split import shuffled_split, standardized


def from_arrays(
    x: ArrayLike,
    y: ArrayLike,
    *,
    test_size: float = 0.2,
    name: str = "custom",
    seed: int = 42,
    kind: Kind = "classification",
    standardize: bool = False,
) -> Dataset:
    """A data set of the given rows, shuffled and split as ``shuffled_split`` says, columns as they are.

    Args:
        x: Numbers (rows, features), or images (rows, height, width), which are flattened; finite.
        y: Labels (rows,): whole numbers, booleans or text, sorted to give the class indices. For regression:
            finite numbers (rows,) or (rows, outputs).
        test_size: Share of the test set, between 0 and 1.
        name: Its name in tables and reports.
        seed: Of the shuffling.
        kind: Classes, or numbers to predict.
        standardize: Bring each column to mean 0 and variance 1 over the training rows.

    Returns:
        The data set; its digest covers every number, the split and the scaling.

    Raises:
        ShapeError: ``x`` or ``y`` has the wrong number of axes, or they differ in rows.
        DataError: A value is no finite number, or there is only one class.
        OptionError: An option is out of its range.

    Example:
        >>> import numpy as np
        >>> moons = from_arrays(np.arange(10.0).reshape(5, 2), ["new", "full", "new", "new", "full"])
        >>> moons.class_names, moons.x_test.tolist(), moons.y_test.tolist()
        (('full', 'new'), [[2.0, 3.0]], [0])
    """
    rows, image_shape = _inputs(x)
    _check_length(y, rows, "")
    targets, class_names = targets_of(y, kind)
    train, test = shuffled_split(len(rows), test_size=test_size, seed=seed)
    x_train, x_test = rows[train], rows[test]
    scaled = standardized(x_train, x_test) if standardize else (x_train.astype(np.float32), x_test.astype(np.float32))
    parts = (scaled[0], targets[train], scaled[1], targets[test])
    return Dataset(
        name,
        *parts,
        kind=kind,
        class_names=class_names,
        image_shape=image_shape,
        source="given as arrays",
        digest=digest_of(parts, class_names),
        preprocess="standardise" if standardize else "none",
    )


def from_split(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    *,
    name: str = "custom",
    kind: Kind = "classification",
) -> Dataset:
    """A data set of the given rows, in the training and test part that they come in; columns as they are.

    Args:
        x_train: As ``x`` in ``from_arrays``.
        y_train: As ``y`` in ``from_arrays``; the classes are those of both parts.
        x_test: As ``x_train``.
        y_test: As ``y_train``.
        name: Its name in tables and reports.
        kind: Classes, or numbers to predict.

    Returns:
        The data set; its digest covers every number.

    Raises:
        ShapeError: Wrong numbers of axes, or parts that differ in their columns, or ``x`` and ``y`` in rows.
        DataError: A value is no finite number, or there is only one class.

    Example:
        >>> from_split([[0.0], [1.0]], ["new", "full"], [[2.0]], ["new"]).y_test.tolist()
        [1]
    """
    rows, images = zip(*(_inputs(x) for x in (x_train, x_test)), strict=True)
    if images[0] != images[1] or rows[0].shape[1] != rows[1].shape[1]:
        shapes = " and ".join(str(np.shape(x)) for x in (x_train, x_test))
        raise ShapeError(f"x_train and x_test have shapes {shapes}", fix="give both the same columns")
    for part, x, y in zip(("_train", "_test"), rows, (y_train, y_test), strict=True):
        _check_length(y, x, part)
    targets, class_names = targets_of(np.concatenate([np.asarray(y_train), np.asarray(y_test)]), kind)
    labels = (targets[: len(rows[0])], targets[len(rows[0]) :])
    parts = (rows[0].astype(np.float32), labels[0], rows[1].astype(np.float32), labels[1])
    return Dataset(
        name,
        *parts,
        kind=kind,
        class_names=class_names,
        image_shape=images[0],
        source="given as arrays",
        digest=digest_of(parts, class_names),
    )


def _inputs(x: ArrayLike) -> tuple[NDArray[np.float64], tuple[int, int] | None]:
    array = _numbers(x, "x")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ShapeError(
            f"x has shape {array.shape}", fix="give (rows, features), or images as (rows, height, width), none empty"
        )
    image_shape = (array.shape[1], array.shape[2]) if array.ndim == 3 else None
    return array.reshape(len(array), -1), image_shape


def _numbers(values: ArrayLike, label: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{label} holds something that is no number: {error}") from error
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(np.float32))
    if not finite.all():
        row = int(np.argwhere(~finite)[0, 0]) if array.ndim else 0
        raise DataError(
            f"{label} holds a value that is no finite float32",
            where=f"row {row}, counted from 0",
            fix="mend or drop it",
        )
    return array


def _check_length(y: ArrayLike, rows: NDArray[np.float64], part: str) -> None:
    """Before the labels are looked at: too few of them may well hold one class alone."""
    shape = np.asarray(y).shape
    if shape[:1] != rows.shape[:1]:
        found = f"{shape[0]}" if shape else "a single value"
        raise ShapeError(f"x{part} has {len(rows)} rows and y{part} has {found}", fix="give one y for each row of x")


def targets_of(y: ArrayLike, kind: Kind) -> tuple[NDArray[np.int32] | NDArray[np.float32], tuple[str, ...]]:
    """The targets of all rows as a data set holds them, and the names of the classes; as ``y`` in ``from_arrays``."""
    if kind == "regression":
        outputs = _numbers(y, "y").astype(np.float32)
        if outputs.ndim not in (1, 2):
            raise ShapeError(f"y has shape {outputs.shape}", fix="give (rows,) or (rows, outputs)")
        return outputs.reshape(len(outputs), -1), ()
    if kind != "classification":
        raise OptionError(f"unknown kind '{kind}'", fix="classification or regression")
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise ShapeError(f"y has shape {labels.shape}", fix="give one label for each row")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all() or not np.array_equal(labels, np.rint(labels)):
            raise DataError("y holds fractions, not classes", fix="give whole numbers or text, or kind='regression'")
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "O":
        labels = _texts(labels)
    names, indices = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"y holds {len(names)} class, a classifier needs 2 or more")
    return indices.astype(np.int32), tuple(str(value) for value in names)


def _texts(labels: NDArray[np.object_]) -> NDArray[np.str_]:
    # A missing label (None, NaN) would become a class called "None" or "nan".
    for row, label in enumerate(labels):
        if not isinstance(label, str):
            raise DataError(
                f"y holds {label!r}, which is no text",
                where=f"row {row}, counted from 0",
                fix="mend or drop it; whole numbers go into an array of integers",
            )
    return labels.astype(np.str_)


def digest_of(parts: tuple[NDArray[np.int32] | NDArray[np.float32], ...], class_names: tuple[str, ...]) -> str:
    """sha256 of a data set's four arrays and its classes, hex."""
    digest = hashlib.sha256(repr([(part.shape, part.dtype.str) for part in parts] + [class_names]).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
