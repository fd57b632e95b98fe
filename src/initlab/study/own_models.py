"""A user's own model looked at before a study: that it is one, how it takes rows, and what is in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter
from initlab.core.errors import OptionError, ShapeError
from initlab.core.factories import exits_refused, made_by
from initlab.core.facts.spec import ModelSpec
from initlab.core.facts.user_model import Gives, OwnModel, RowKind
from initlab.core.training.dataset import Dataset
from initlab.frameworks import Framework, framework_of, models, seeded, watching

EXAMPLE_ROWS = 4
TOLD_ROWS, WIDE = 64, 1e3
"""Rows, and how far apart they are drawn, by which a probability is told from a logit that happens to lie in 0 to 1."""
_TOLERANCE = 1e-4  # of a sum of probabilities in float32

Build = Callable[[], object]


def examine(
    build: Build,
    dataset: Dataset,
    *,
    row_shape: tuple[int, ...] | None = None,
    row_kinds: Sequence[RowKind] = ("float32",),
) -> OwnModel:
    """What is known of the model that a function builds, on the first rows of its data.

    The function is called a few times; every global generator stays as it was.

    Args:
        build: Returns a PyTorch or Keras model, or a tuple of the model and an example input, which is then what the
            model is traced on; called without arguments.
        dataset: The study's data.
        row_shape: Shape of one row; None tries a flat row and, for images, one with a channel and one without: the
            first that the model takes.
        row_kinds: Types that a row's numbers may have; the first that the model takes.

    Raises:
        OptionError: It returns no model, a model without weights to initialise, or models of different shapes.
        ShapeError: The model does not take the rows or the example, or its outputs do not fit the targets.
        InitlabError: It raised.

    Example:
        >>> import torch
        >>> x, y = np.zeros((8, 4), np.float32), np.zeros(8, np.int32)
        >>> data = Dataset("toy", x, y, x, y, class_names=("a", "b", "c"))
        >>> examine(lambda: torch.nn.Linear(4, 3), data).layers
        ('weight',)
    """
    framework = _framework(build)
    with exits_refused():
        return _examine(framework, build, dataset, row_shape=row_shape, row_kinds=row_kinds)


def _examine(
    framework: Framework,
    build: Build,
    dataset: Dataset,
    *,
    row_shape: tuple[int, ...] | None,
    row_kinds: Sequence[RowKind],
) -> OwnModel:
    adapter = framework.load()
    shapes = (row_shape,) if row_shape is not None else _shapes(dataset, framework)
    forms = [dataset.x_train[:EXAMPLE_ROWS].astype(kind).reshape(-1, *s) for kind in row_kinds for s in shapes]
    model, example, x, outputs = _take(adapter, build, forms)
    _check_outputs(outputs, len(x), dataset)
    spec = adapter.describe(model, example=x if example is None else example)
    found = OwnModel(
        framework=framework.name,
        name=type(model).__name__,
        params=spec.params,
        outputs=dataset.outputs,
        row_shape=x.shape[1:],
        row_kind="int64" if x.dtype.kind == "i" else "float32",
        gives=_gives(adapter, model, x, outputs, dataset, spec),
        digest=adapter.digest(model, build),
    )
    if all(p.frozen or p.intent for p in found.weights):
        raise OptionError(f"every weight of {found.name} is frozen or meant to stay", fix="unfreeze one")
    again, example = adapter.build_own(build, 1)
    adapter.outputs(again, x)  # some models are built by their first call
    _check_same(spec, adapter.describe(again, example=x if example is None else example))
    return found


def _framework(build: Build) -> Framework:
    """The framework of what the function returns; the generators of those that are loaded stay as they were."""
    with seeded(0):
        model, _, _ = made_by(build, "build", where="build")
    found = framework_of(model)
    if isinstance(model, type) or found is None:
        said = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise OptionError(f"build returned {said}", where="build", fix=f"return {models()}")
    return found


def _shapes(dataset: Dataset, framework: Framework) -> tuple[tuple[int, ...], ...]:
    flat = (dataset.features,)
    if dataset.image_shape is None:
        return (flat,)
    height, width = dataset.image_shape
    return flat, (height, width, 1) if framework.channels_last else (1, height, width), (height, width)


def _take(
    adapter: Adapter, build: Build, forms: Sequence[NDArray[np.generic]]
) -> tuple[object, object, NDArray[np.generic], NDArray[np.float32]]:
    """A fresh model, its own example if it has one, the rows in the first form that it takes, and its outputs."""
    refusals = []
    for x in forms:
        try:
            with watching() as writers:
                model, example = adapter.build_own(build, 0)
                outputs = adapter.outputs(model, x)  # some models get their parameters by their first call
        except ShapeError as error:
            refusals.append(error)
            continue
        writers(model)
        return model, example, x, outputs
    shapes = list(dict.fromkeys(x.shape[1:] for x in forms))
    if len(shapes) == 1:
        raise ShapeError(refusals[0].what, where="build, data", fix=refusals[0].fix or "give x as the model takes it")
    tried = ", ".join(str(shape) for shape in shapes)
    raise ShapeError(
        f"the model takes rows of none of the shapes {tried}; {refusals[0].what}",
        where="build, data",
        fix="give data=(x, y), x as the model takes it",
    )


def _check_outputs(outputs: NDArray[np.float32], rows: int, dataset: Dataset) -> None:
    classes = dataset.kind == "classification"
    if outputs.shape == (rows, dataset.outputs) or (classes and _is_one_of_two(outputs, dataset)):
        return
    wanted = f"{dataset.outputs} classes" if classes else f"{dataset.outputs} numbers a row"
    fix = f"return (rows, {dataset.outputs})" + (", an output for each class" if classes else "")
    fix += ", or one for both" if classes and dataset.outputs == 2 else ""
    raise ShapeError(f"outputs of shape {outputs.shape} for {rows} rows do not fit {wanted}", where="build", fix=fix)


def _is_one_of_two(outputs: NDArray[np.float32], dataset: Dataset) -> bool:
    """Whether the outputs are one number a row, and the classes two."""
    return dataset.outputs == 2 and outputs.shape in ((len(outputs), 1), (len(outputs),))


def _gives(
    adapter: Adapter,
    model: object,
    x: NDArray[np.generic],
    outputs: NDArray[np.float32],
    dataset: Dataset,
    spec: ModelSpec,
) -> Gives:
    """Told by its outputs: rows of a softmax are above 0 and add up to 1, a sigmoid never leaves 0 to 1.

    A single output is tried on many rows, drawn far apart: there a logit leaves 0 to 1.
    """
    if dataset.kind != "classification":
        return "logits"
    if not _is_one_of_two(outputs, dataset):
        is_share = bool((outputs >= 0).all()) and np.allclose(outputs.sum(1), 1.0, atol=_TOLERANCE)
        return "probabilities" if is_share else "logits"
    last = [p for p in spec.params if p.is_weight]
    if last and last[-1].f_out == "sigmoid":
        return "probability"
    rows = dataset.x_train[:TOLD_ROWS].astype(x.dtype).reshape(-1, *x.shape[1:])
    drawn = [rows] if x.dtype.kind == "i" else [rows, (WIDE * rows).astype(x.dtype), (-WIDE * rows).astype(x.dtype)]
    told = np.concatenate([adapter.outputs(model, part).ravel() for part in drawn])
    return "probability" if bool(((told >= 0) & (told <= 1)).all()) else "logit"


def _check_same(first: ModelSpec, second: ModelSpec) -> None:
    ours = {p.path: p.shape for p in first.params}
    theirs = {p.path: p.shape for p in second.params}
    for path in [*ours, *theirs]:
        if ours.get(path) != theirs.get(path):
            raise OptionError(
                f"a second call of build gave another model: '{path}' has shape {theirs.get(path, 'none')}, "
                f"after {ours.get(path, 'none')}",
                where="build",
                fix="return the same architecture every time",
            )
