"""Frameworks: the adapter of a model, picked by the model's own class; no framework is imported that is not in use."""

from __future__ import annotations

from importlib import import_module

from initlab.core.adapter import Adapter
from initlab.core.errors import InitlabError

# The first class of these names in a model's ancestry tells its framework; Keras on its torch back end is also a
# torch module, so Keras comes first.
_ROOTS = (
    ("keras", ("keras.src.layers.layer", "Layer")),
    ("torch", ("torch.nn.modules.module", "Module")),
    ("jax", ("flax.nnx.module", "Module")),
)
_LINEN = ("flax.linen.module", "Module")


def framework_of(model: object) -> str | None:
    """The name of the framework that a model belongs to, or None.

    Example:
        >>> framework_of(3) is None
        True
    """
    ancestry = _ancestry(model)
    return next((name for name, root in _ROOTS if root in ancestry), None)


def adapter_for(model: object) -> Adapter:
    """The adapter of a model's framework.

    Raises:
        InitlabError: The object is not a model of a framework that initlab knows.
    """
    name = framework_of(model)
    if isinstance(model, type):
        raise InitlabError(f"{model.__name__} is a class, not a model", fix="give the model that it makes")
    if name is None and _LINEN in _ancestry(model):
        raise InitlabError(
            f"{type(model).__name__} is a Linen module, which holds no parameters",
            fix="wrap it: flax.nnx.bridge.ToNNX(module, rngs=nnx.Rngs(0)).lazy_init(x), and give x as the example",
        )
    if name is None:
        raise InitlabError(
            f"{type(model).__name__} is not a model that initlab knows",
            fix="give a torch.nn.Module, a keras.Model or a flax.nnx.Module",
        )
    adapter: Adapter = import_module(f"initlab.frameworks.{name}.adapter").ADAPTER
    return adapter


def _ancestry(model: object) -> set[tuple[str, str]]:
    return {(kind.__module__, kind.__name__) for kind in type(model).__mro__}
