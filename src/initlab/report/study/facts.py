"""What a report says about a data set and a network: counts and names, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.facts.spec import ParamSpec
from initlab.core.facts.user_model import OwnModel
from initlab.core.training.dataset import Dataset, Kind
from initlab.core.training.outcomes import PROBE_ROWS
from initlab.study.design import architecture
from initlab.study.records import StudyDesign

RECURRENT_LAYERS = ("input", "state", "output")
"""What the report calls the weights of a recurrent net, in order of use."""


@dataclass(frozen=True)
class DatasetFacts:
    """A data set in numbers.

    Attributes:
        name: The task's name.
        source: Where the data come from.
        digest: sha256 of the raw data, hex.
        kind: Classification or regression.
        rows_train: Rows of the training set.
        rows_test: Rows of the test set.
        features: Numbers in a row of the input.
        outputs: Classes, or numbers predicted.
        class_names: In order of their index; empty for regression.
        train_counts: Rows of each class in the training set; empty for regression.
        test_counts: Rows of each class in the test set; empty for regression.
        mean_square: E[x^2] of the rows on which the layers are measured; None where not known.
        notes: How a table was read, and what was dropped of it, in sentences.
    """

    name: str
    source: str
    digest: str
    kind: Kind
    rows_train: int
    rows_test: int
    features: int
    outputs: int
    class_names: tuple[str, ...] = ()
    train_counts: tuple[int, ...] = ()
    test_counts: tuple[int, ...] = ()
    mean_square: float | None = None
    notes: str = ""


def dataset_facts(data: Dataset) -> DatasetFacts:
    """The data set's sizes, and how many rows each class has.

    Example:
        >>> x, y = np.zeros((3, 2), np.float32), np.array([0, 1, 1], np.int32)
        >>> facts = dataset_facts(Dataset("toy", x, y, x[:2], y[:2], class_names=("no", "yes")))
        >>> facts.train_counts, facts.test_counts
        ((1, 2), (1, 1))
    """
    classes = data.outputs if data.kind == "classification" else 0

    def counts(labels: np.ndarray) -> tuple[int, ...]:
        return tuple(int(n) for n in np.bincount(labels.astype(np.int64), minlength=classes)) if classes else ()

    return DatasetFacts(
        name=data.name,
        source=data.source,
        digest=data.digest,
        kind=data.kind,
        rows_train=len(data.x_train),
        rows_test=len(data.x_test),
        features=data.features,
        outputs=data.outputs,
        class_names=data.class_names,
        train_counts=counts(data.y_train),
        test_counts=counts(data.y_test),
        mean_square=float(np.mean(np.square(data.x_train[:PROBE_ROWS], dtype=np.float64))),
        notes=data.notes,
    )


@dataclass(frozen=True)
class LayerFacts:
    """One dense layer as the report lists it.

    Attributes:
        name: E.g. ``"hidden 1"`` or ``"output"``.
        shape: Of the weight: (out, in).
        parameters: Trainable numbers of the layer, bias and norm included.
        activation: The function after it; ``"none"`` for logits.
        fan_in: Inputs of a unit.
        fan_out: Outputs an input feeds.
    """

    name: str
    shape: tuple[int, int]
    parameters: int
    activation: str
    fan_in: int
    fan_out: int


@dataclass(frozen=True)
class ParameterFacts:
    """One parameter of the user's own model as the report lists it.

    Attributes:
        name: The framework's own.
        role: What it does.
        shape: In the canonical layout.
        size: Numbers in it; 0 where it shares another's.
        between: The activation that made the layer's input and the one that takes its output; empty for no weight.
        note: What keeps it from a scheme: frozen, shared, or meant to stay.
    """

    name: str
    role: str
    shape: tuple[int, ...]
    size: int
    between: str
    note: str


def parameter_facts(model: OwnModel) -> tuple[ParameterFacts, ...]:
    """Every parameter of an own model, in order of use where that is known.

    Example:
        >>> bias = ParamSpec("0/bias", (3,), role="bias", native="fc.bias", frozen=True)
        >>> model = OwnModel("torch", "Net", (ParamSpec("0/weight", (3, 4), f_in="relu"), bias), 3, (4,))
        >>> [(p.name, p.size, p.between, p.note) for p in parameter_facts(model)]
        [('0/weight', 12, 'relu → none', ''), ('fc.bias', 3, '', 'frozen')]
    """
    return tuple(
        ParameterFacts(
            name=p.native or p.path,
            role=p.role.replace("_", " "),
            shape=p.shape,
            size=p.size if p.tied_to is None else 0,
            between=f"{p.f_in or 'none'} → {p.f_out or 'none'}" if p.is_weight else "",
            note=f"shared with {p.tied_to}" if p.tied_to is not None else "frozen" if p.frozen else p.intent,
        )
        for p in model.params
    )


def network(design: StudyDesign, facts: DatasetFacts) -> Mlp | Recurrent | OwnModel:
    """The network that a design trains on this data set."""
    return design.model or architecture(design, inputs=facts.features, outputs=facts.outputs)


def layer_facts(arch: Mlp | Recurrent) -> tuple[LayerFacts, ...]:
    """Every dense layer with its size and fans, in order of use.

    Example:
        >>> [(layer.name, layer.parameters, layer.fan_in) for layer in layer_facts(Mlp((4, 64, 3)))]
        [('hidden 1', 320, 4), ('output', 195, 64)]
    """
    params: Mapping[str, ParamSpec] = {p.path: p for p in arch.spec().params}
    layers = []
    names = layer_names(arch.depth) if isinstance(arch, Mlp) else RECURRENT_LAYERS
    for i, name in enumerate(names):
        owned = [p for path, p in params.items() if path.split("/")[0] in (str(i), f"norm_{i}")]
        shape = (params[f"{i}/weight"].shape[0], params[f"{i}/weight"].shape[1])
        layers.append(
            LayerFacts(
                name=name,
                shape=shape,
                parameters=sum(p.size for p in owned),
                activation="none" if i == arch.depth - 1 else arch.activation,
                fan_in=shape[1],
                fan_out=shape[0],
            )
        )
    return tuple(layers)


def measured_layers(design: StudyDesign, depth: int) -> tuple[str, ...]:
    """What the report calls the layers that records measure, in order of use.

    Args:
        design: What was asked.
        depth: How many layers the records have.
    """
    if design.steps is not None:
        return RECURRENT_LAYERS
    return layer_names(depth) if design.model is None else design.model.layers[:depth]


def layer_names(depth: int) -> tuple[str, ...]:
    """What the report calls the dense layers, in order of use.

    Example:
        >>> layer_names(3)
        ('hidden 1', 'hidden 2', 'output')
    """
    return (*(f"hidden {i + 1}" for i in range(depth - 1)), "output")
