"""A model of the user's own, as data: what its adapter saw in it, and how it takes rows and gives outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal

from initlab.core.errors import OptionError
from initlab.core.facts.spec import Axes, Branch, ModelSpec, ParamSpec

RowKind = Literal["float32", "int64"]
Gives = Literal["logits", "probabilities", "logit", "probability"]


@dataclass(frozen=True)
class OwnModel:
    """What is known of a model that the user's own function builds.

    Attributes:
        framework: ``torch`` or ``keras``.
        name: The model's class.
        params: Every parameter, in order of use where that is known.
        outputs: Numbers that the model gives for a row; of two classes 2, also where one number tells both.
        row_shape: Shape of one row as the model takes it, e.g. ``(1, 8, 8)``.
        row_kind: Type of a row's numbers; ``int64`` for indices.
        gives: What its outputs are: logits (or plain numbers), or probabilities, as after a softmax; of two classes
            also one logit, or one probability, as after a sigmoid, of the second.
        digest: sha256 of its structure and of the source of its own classes and of the function that builds it.

    Raises:
        OptionError: No weight of rank 2 or more that is not shared.

    Example:
        >>> weight = ParamSpec(path="0/weight", shape=(3, 4), native="fc.weight")
        >>> model = OwnModel("torch", "Net", (weight, ParamSpec("0/bias", (3,), role="bias")), 3, (4,))
        >>> model.layers, model.parameters
        (('fc',), 15)
    """

    framework: str
    name: str
    params: tuple[ParamSpec, ...]
    outputs: int
    row_shape: tuple[int, ...]
    row_kind: RowKind = "float32"
    gives: Gives = "logits"
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.weights:
            raise OptionError(
                f"{self.name} has no weight that a scheme could initialise", fix="give a model with a dense layer, say"
            )

    def spec(self) -> ModelSpec:
        """Every parameter, with what the adapter saw around it."""
        return ModelSpec(self.params, "traced")

    @property
    def weights(self) -> tuple[ParamSpec, ...]:
        """The weights of rank 2 or more, each once: the layers that a record measures."""
        return tuple(p for p in self.params if p.is_weight and p.tied_to is None)

    @property
    def tells_two_by_one(self) -> bool:
        """Whether one output stands for two classes."""
        return self.gives in ("logit", "probability")

    @property
    def depth(self) -> int:
        """Number of weights."""
        return len(self.weights)

    @property
    def layers(self) -> tuple[str, ...]:
        """A name for each weight: the framework's own, without the word that every weight ends with."""
        names = [p.native or p.path for p in self.weights]
        return tuple(_without_ending(name) for name in names)

    @property
    def parameters(self) -> int:
        """Number of parameters, the frozen ones too, shared ones once."""
        return sum(p.size for p in self.params if p.tied_to is None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; of a parameter what is not the default."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "params"}
        return {**plain, "params": [_plain(p) for p in self.params]}


def own_model_of(parts: Mapping[str, Any]) -> OwnModel:
    """The model whose ``to_dict()``, through JSON or not, is ``parts``.

    Raises:
        TypeError: A part is missing or unknown.

    Example:
        >>> model = OwnModel("torch", "Net", (ParamSpec(shape=(3, 4), stride=()),), 3, (4,))
        >>> own_model_of(model.to_dict()) == model
        True
    """
    params = tuple(_param(told) for told in parts["params"])
    return OwnModel(**{**parts, "params": params, "row_shape": tuple(parts["row_shape"])})


def _plain(p: ParamSpec) -> dict[str, Any]:
    told = {f.name: getattr(p, f.name) for f in fields(p) if f.default is MISSING or getattr(p, f.name) != f.default}
    plain = {name: asdict(value) if isinstance(value, Axes | Branch) else value for name, value in told.items()}
    if "branch" in plain:
        del plain["branch"]["index"]  # it tells no two models apart, and records without it are read and compared
    return plain


def _param(told: Mapping[str, Any]) -> ParamSpec:
    parts: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    if "axes" in parts:
        parts["axes"] = Axes(**{name: tuple(axes) for name, axes in parts["axes"].items()})
    if "branch" in parts:
        parts["branch"] = Branch(**parts["branch"])
    return ParamSpec(**parts)


def _without_ending(name: str) -> str:
    for ending in (".weight", "/weight", "/kernel", "/embeddings"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name
