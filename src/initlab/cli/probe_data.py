"""What ``initlab probe`` is given besides the model: a batch, limits, and files to write."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from initlab.api.guessing import first_taken
from initlab.api.mending import is_small, offers, with_mends_tried
from initlab.api.probing import probe
from initlab.core.errors import DataError, InitlabError, OptionError, ShapeError, UnknownNameError
from initlab.core.files import PAGES, PICTURES, check_target
from initlab.core.memory import npz_arrays
from initlab.core.training.dataset import Dataset
from initlab.frameworks import framework_of
from initlab.probing.checks.limits import Limits
from initlab.probing.profile import Profile

ROWS = 128
"""Rows of a data set that are probed with."""

_INPUTS, _TARGETS = ("x", "x_train"), ("y", "y_train")


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model is probed with.

    Attributes:
        x: The inputs.
        y: The targets; None for none.
        is_own: Whether the user gave it for this model, so that targets that do not fit are a mistake.
    """

    x: object
    y: object = None
    is_own: bool = False


def parsed_limits(told: str) -> Limits:
    """Limits of a text such as ``"ratio=100,dead_net=0.5"``; the defaults of the empty text.

    Raises:
        UnknownNameError: No limit has that name.
        OptionError: Not of this form, or not a positive number.

    Example:
        >>> parsed_limits("ratio=100, saturated=0.9").changed
        {'ratio': 100.0, 'saturated': 0.9}
    """
    known, found = Limits().to_dict(), dict[str, float]()
    for part in filter(None, (part.strip() for part in told.split(","))):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise UnknownNameError("limit", name, known)
        try:
            found[name] = float(value)
        except ValueError:
            raise OptionError(f"the limit '{part}'", where="--limits", fix=f"write it like {name}=10") from None
    return Limits(**found)


def check_files(*, png: Path | None, html: Path | None) -> None:
    """Nothing, where both can be written.

    Raises:
        OptionError: One cannot.
    """
    if png is not None:
        check_target(png, PICTURES, option="--png")
    if html is not None:
        check_target(html, PAGES, option="--html")


def example_batches(model: object, given: Sequence[object], data: str | None) -> list[Batch]:
    """The batches to try, the likeliest first: ``--data`` if it was given, else what the factory returned.

    Args:
        model: The model.
        given: The example and the targets that came with it; None for none.
        data: A data set, or an ``.npz`` file.

    Raises:
        InitlabError: Data that cannot be read.
    """
    if data is None:
        example, targets = given
        return [Batch(example, targets, is_own=True)]
    if data.endswith(".npz"):
        return [_from_file(Path(data))]
    from initlab.tasks import load_task

    dataset = load_task(data)
    rows = dataset.x_train[:ROWS]
    return [Batch(rows.reshape(shape), dataset.y_train[:ROWS]) for shape in _shapes(dataset, len(rows), model)]


def _from_file(path: Path) -> Batch:
    try:
        arrays = npz_arrays(path)
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path), fix="give the path of an .npz file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"cannot be read: {reason}", where=str(path), fix="write it with numpy.savez(x=..., y=...)"
        ) from None
    x = next((arrays[name] for name in _INPUTS if name in arrays), None)
    y = next((arrays[name] for name in _TARGETS if name in arrays), None)
    if x is None:
        there = ", ".join(arrays) or "nothing"
        raise DataError(f"no array x among {there}", where=str(path), fix="write it with numpy.savez(x=..., y=...)")
    for name, array in (("x", x), ("y", y)):
        if array is not None and array.dtype.kind not in "biufc":
            raise DataError(f"{name} holds {array.dtype} and no numbers", where=str(path), fix="give numbers")
        if array is not None and array.ndim == 0:
            raise DataError(f"{name} is one number", where=str(path), fix="give an array with a row for each example")
    return Batch(x[:ROWS], None if y is None else y[:ROWS], is_own=True)


def _shapes(dataset: Dataset, rows: int, model: object) -> list[tuple[int, ...]]:
    """A flat row; of images one with a channel, where the framework has it, and one without."""
    flat = (rows, dataset.features)
    if dataset.image_shape is None:
        return [flat]
    height, width = dataset.image_shape
    framework = framework_of(model)
    is_last = framework is None or framework.channels_last
    image = (rows, height, width, 1) if is_last else (rows, 1, height, width)
    return [flat, image, (rows, height, width)]


def probed(model: object, batches: Sequence[Batch], *, histograms: bool) -> tuple[Profile, Batch]:
    """The profile of the first batch that fits, and that batch.

    Targets of a data set that do not fit the output are left out, with a word on standard error.

    Raises:
        InitlabError: What the first batch was refused for, where none fits.
    """
    refused: list[InitlabError] = []
    for batch in batches:
        try:
            return probe(model, batch.x, batch.y, histograms=histograms), batch
        except ShapeError as error:
            refused.append(error)
            if error.where == "targets" and not batch.is_own:
                print("initlab: notice: the targets do not fit the model's output, so none are used", file=sys.stderr)
                return probe(model, batch.x, histograms=histograms), Batch(batch.x)
    raise refused[0]


def probed_without_batch(model: object, shapes: Sequence[str], *, histograms: bool) -> tuple[Profile, Batch]:
    """The profile of made-up inputs, and those: of the shapes that are given, else guessed from the model.

    Raises:
        OptionError: A shape that is none; or no input that could be guessed is taken.
        ShapeError: The model does not take the shapes.
    """
    profile, made = first_taken(
        model, lambda batch: probe(model, batch, histograms=histograms), [_shape(one) for one in shapes]
    )
    if shapes:
        print(f"initlab: notice: probed with {made.words}", file=sys.stderr)
    else:
        print("initlab: notice: no batch: return (model, x) or give --data, --input for a verdict", file=sys.stderr)
        profile = Profile(replace(profile.evidence, guessed=made.words))
    return profile, Batch(made.batch)


def _shape(told: str) -> tuple[int, ...]:
    """The shape of a sample that is typed as ``"3,224,224"``."""
    try:
        sizes = tuple(int(part) for part in told.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise OptionError(f"'{told}' is no shape", where="--input", fix="write the sizes of a sample, as in 3,224,224")
    return sizes


def mended(model: object, profile: Profile, batch: Batch, limits: Limits, *, wanted: bool | None) -> Profile:
    """The profile, with the mends that were tried.

    Args:
        model: The model.
        profile: Of the batch.
        batch: What it was probed with.
        limits: Those of the diagnosis.
        wanted: Whether mends are tried; None for those of a small model.
    """
    if wanted is None:
        wanted = is_small(profile.evidence.spec)
        if not wanted and offers(profile.diagnose(limits)):
            print("initlab: notice: the model is large, so no mend was tried; --try-mends does it", file=sys.stderr)
    return with_mends_tried(model, profile, lambda: probe(model, batch.x, batch.y), limits) if wanted else profile
