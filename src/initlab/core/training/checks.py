"""Whether weights and data fit the architecture, said in one line where they do not."""

from __future__ import annotations

from initlab.core.errors import DataError, OptionError, ShapeError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.training.protocol import Start, TrainingSetup


def check_setup(setup: TrainingSetup) -> None:
    """Nothing, if the network, the data and the loss fit each other.

    Raises:
        DataError: No training or no test rows.
        ShapeError: An input or output width that is not the data's.
        OptionError: Cross-entropy for a regression.
    """
    data, widths = setup.dataset, setup.arch.widths
    if not len(data.x_train) or not len(data.x_test):
        raise DataError("no training or no test rows", where=data.name, fix="training needs one of each at least")
    if widths[0] != data.features:
        raise ShapeError(f"{widths[0]} inputs for {data.features} features", where=data.name, fix="change widths[0]")
    if setup.loss == "cross_entropy" and data.kind != "classification":
        raise OptionError("cross_entropy needs classes, the task is a regression", where=data.name, fix="use mse")
    if widths[-1] != data.outputs:
        raise ShapeError(
            f"{widths[-1]} outputs, the data have {data.outputs}", where=data.name, fix="change widths[-1]"
        )


def chain_of(setup: TrainingSetup) -> Mlp:
    """The setup's network, for a trainer that knows chains of dense layers alone.

    Raises:
        OptionError: It is a recurrent net.
    """
    if isinstance(setup.arch, Mlp):
        return setup.arch
    raise OptionError("this framework trains no recurrent net", where="steps", fix="use the framework jax")


def check_start(arch: Mlp | Recurrent, start: Start) -> None:
    """Nothing, if every parameter is there, in its canonical shape, and no other.

    Raises:
        ShapeError: A parameter that is missing, unknown, or of another shape.
    """
    wanted = {p.path: p.shape for p in arch.spec().params}
    for path in sorted(wanted.keys() | start.weights.keys()):
        if path not in start.weights:
            raise ShapeError(f"seed {start.seed} has no weights for '{path}'")
        if path not in wanted:
            raise ShapeError(f"seed {start.seed} has weights for '{path}', which the network has not")
        if start.weights[path].shape != wanted[path]:
            raise ShapeError(f"{start.weights[path].shape} is not the shape {wanted[path]}", where=path)
