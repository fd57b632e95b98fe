"""The verb that looks into a model: probe."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

from initlab.core.adapter import Overrides
from initlab.core.arch import Architecture
from initlab.core.errors import OptionError
from initlab.core.spec import ModelSpec
from initlab.core.taps import Reading
from initlab.frameworks import adapter_for
from initlab.probing.prediction import gather_evidence
from initlab.probing.profile import Profile
from initlab.probing.weights import weight_facts

# A model that is understood without an example needs no further pass to be described.
_NOT_SEEN = frozenset({"declared", "partial"})


class _Taps(Protocol):
    """A framework's ``taps``."""

    def __call__(
        self,
        model: object,
        batch: object,
        *,
        targets: object = None,
        loss: Callable[..., object] | None = None,
        histograms: bool = False,
    ) -> Reading: ...


def probe(
    model: object,
    batch: object,
    targets: object = None,
    loss: Callable[..., object] | None = None,
    *,
    histograms: bool = False,
    overrides: Overrides | None = None,
) -> Profile:
    """Theory beside measurement for every layer, from one forward and one backward pass of a batch.

    The model is left as it is: parameters, gradients, buffers, mode and generators.

    Args:
        model: A PyTorch or Keras model.
        batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
        targets: Whole numbers for cross entropy, real ones for the mean square error.
        loss: A function of the model's outputs, and of the targets where there are some. Without targets and loss a
            loss that the model returns itself is taken, else its output is followed backwards by fixed random numbers.
        histograms: Whether to count the entries of values and gradients.
        overrides: Facts by glob over names that win over what was seen of the parameters, as for ``plan``.

    Returns:
        A profile; ``print`` it, ``diagnose()`` it, ``assert_healthy()`` it.

    Raises:
        InitlabError: Not a model of a framework that initlab knows, or one without a gradient.
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        DataError: The batch holds numbers that are not finite.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> profile = probe(net, torch.randn(16, 4), torch.arange(16) % 3)
        >>> [(row.path, row.f) for row in profile.rows]
        [('0', 'relu'), ('2', '')]
    """
    if isinstance(model, Architecture | ModelSpec):
        raise OptionError(f"a {type(model).__name__} holds no weights", fix="build it in a framework, and give that")
    adapter = adapter_for(model)
    taps = cast(_Taps, import_module(f"initlab.frameworks.{adapter.framework}.taps").taps)
    reading = taps(model, batch, targets=targets, loss=loss, histograms=histograms)
    spec = adapter.describe(model, overrides=overrides)
    if spec.fidelity in _NOT_SEEN:
        spec = adapter.describe(model, example=batch, overrides=overrides)
    weights = weight_facts(model, adapter, spec, reading.gradients)
    return Profile(gather_evidence(reading, spec, weights, model=type(model).__name__, framework=adapter.framework))
