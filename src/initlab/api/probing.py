"""The verbs that look into a model: probe, watch, and picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from initlab.api.guessing import first_taken
from initlab.api.mending import with_mends_tried
from initlab.core.adapter import Adapter, Overrides
from initlab.core.errors import DataError, OptionError
from initlab.core.factories import exits_refused
from initlab.core.facts.arch import Architecture
from initlab.core.facts.spec import ModelSpec
from initlab.core.signals.readings import Reading
from initlab.frameworks import adapter_for
from initlab.probing.checks.limits import Limits
from initlab.probing.measure.recurrence import pasts_of
from initlab.probing.measure.weights import weight_facts
from initlab.probing.predict.predict import gather_evidence
from initlab.probing.profile import Profile, SideBySide

if TYPE_CHECKING:
    from initlab.report.probe.figures import SingularFigure


class _Rows(Protocol):
    """An array of samples."""

    def __getitem__(self, rows: slice) -> object: ...


def probe(
    model: object,
    batch: object = None,
    targets: object = None,
    loss: Callable[..., object] | None = None,
    *,
    histograms: bool = False,
    overrides: Overrides | None = None,
    try_mends: bool = False,
) -> Profile:
    """Theory beside measurement for every layer, from one forward and one backward pass of a batch.

    The model is left as it is: parameters, gradients, buffers, mode and generators.

    Args:
        model: A PyTorch, Keras or Flax model.
        batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first. Left out, one is guessed
            from what the model says of its inputs, or from its first weights: its signal is shown, and it is judged
            at its worst alone, never as healthy.
        targets: Whole numbers for cross entropy, real ones for the mean square error.
        loss: A function of the model's outputs, and of the targets where there are some. Without targets and loss a
            loss that the model returns itself is taken, else its output is followed backwards by fixed random numbers.
        histograms: Whether to count the entries of values and gradients.
        overrides: Facts by glob over names that win over what was seen of the parameters, as for ``plan``.
        try_mends: Whether to try what the diagnosis offers, three things at most: the weights of each, drawn with seed
            0, are written in place and probed, and taken back. A finding then says whether it is ``mended``.

    Returns:
        A profile; ``print`` it, ``diagnose()`` it, ``assert_healthy()`` it.

    Raises:
        InitlabError: Not a model of a framework that initlab knows, or one without a gradient.
        OptionError: No batch, and none that could be guessed is taken.
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        DataError: The batch is empty, or holds numbers that are not finite.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> profile = probe(net, torch.randn(16, 4), torch.arange(16) % 3)
        >>> [(row.path, row.f) for row in profile.rows]
        [('0', 'relu'), ('2', '')]
    """
    if isinstance(model, Architecture | ModelSpec):
        raise OptionError(f"a {type(model).__name__} holds no weights", fix="build it in a framework, and give that")
    if batch is None and targets is not None:
        raise OptionError("targets without a batch", where="targets", fix="give both: initlab.probe(model, x, y)")
    given, guessed = batch, ""

    def profiled(*, counted: bool = False) -> Profile:
        return _probed(model, given, targets, loss, histograms=counted, overrides=overrides)

    if batch is None:
        profile, made = first_taken(
            model, lambda tried: _probed(model, tried, targets, loss, histograms=histograms, overrides=overrides)
        )
        given, guessed = made.batch, made.words
    else:
        profile = profiled(counted=histograms)
    profile = Profile(replace(profile.evidence, guessed=guessed))
    if not try_mends:
        return profile
    return with_mends_tried(model, profile, profiled)


def _probed(
    model: object, batch: object, targets: object, loss: Callable[..., object] | None, *,
    histograms: bool, overrides: Overrides | None,
) -> Profile:  # fmt: skip
    adapter = adapter_for(model)
    with exits_refused():
        seen = adapter.capture(model, batch, targets=targets, loss=loss, histograms=histograms, overrides=overrides)
    if any(place.kind == "input" and place.shape[:1] == (0,) for place in seen.reading.places):
        raise DataError("the batch is empty", where="batch", fix="give two samples or more")
    return _profile(model, adapter, seen.spec, seen.reading)


def _profile(model: object, adapter: Adapter, spec: ModelSpec, reading: Reading) -> Profile:
    weights = weight_facts(model, adapter, spec, reading.gradients)
    pasts = pasts_of(model, adapter, spec, reading)
    name = type(model).__name__
    return Profile(gather_evidence(reading, spec, weights, model=name, framework=adapter.framework, pasts=pasts))


@contextmanager
def watch(model: object, *, every: int = 100, scale: Callable[[], float] | None = None) -> Iterator[dict[int, Profile]]:
    """Inside, every so many passes of a training loop are profiled, from the loop's own batch, loss and backward pass.

    The loop is not changed, and its weights have the same bits. In PyTorch nothing is run twice; Keras' step is
    compiled, so there a pass of the same batch and weights runs right before the step. A step of Flax, in ``nnx.jit``
    or not, tells what it was given and got back, and the same pass is done again when the context ends; its loss is
    not known. Afterwards no trace of it is left in the model.

    Args:
        model: The PyTorch module that the loop calls; wrapped, compiled or not. Or the built Keras model whose ``fit``
            or ``train_on_batch`` is called. Or the module of ``flax.nnx`` that the step calls.
        every: Passes from one that is profiled to the next; the first one is.
        scale: What the loss is multiplied with, e.g. ``scaler.get_scale``; gradients are divided by it.

    Yields:
        Profiles by the number of the pass, counted from 0. One is there when the next pass begins, and the last when
        the context ends; what they say of the weights holds for that moment, after the optimiser's step. In Keras one
        is there before the step, of the weights before it; in Flax all are there when the context ends, of the weights
        before their steps, which are kept until then.

    Raises:
        InitlabError: A model of another framework, or a Keras model that is not built.
        OptionError: ``every`` below 1, or a model that is watched already.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> with watch(net, every=2) as profiles:
        ...     for _ in range(5):
        ...         net(torch.randn(16, 4)).square().mean().backward()
        >>> list(profiles)
        [0, 2, 4]
    """
    adapter = adapter_for(model)
    with exits_refused():
        spec = adapter.describe(model)
    profiles: dict[int, Profile] = {}

    def told(step: int, reading: Reading) -> None:
        profiles[step] = Profile(replace(_profile(model, adapter, spec, reading).evidence, step=step))

    with adapter.watch(model, every=every, on_reading=told, scale=scale):
        yield profiles


def picture(
    profile: Profile | SideBySide,
    path: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    model: object = None,
    batch: object = None,
    command: str = "",
) -> Path:
    """The file shows the profile, theory beside measurement: signal, gradient and likeness of samples by layer.

    Besides: the histograms, where ``probe`` counted them; the layers in the phase diagram, where the net has one
    activation and no norms; and with ``model`` and ``batch`` the singular values of the Jacobian at the first sample,
    for small PyTorch models of real inputs.

    Args:
        profile: Of ``probe``; or of ``profile.compare``, whose picture shows every layer on common axes.
        path: The ending decides: ``.png``, ``.svg``, or ``.html`` for a page with findings and tables that asks the
            network for nothing.
        limits: Those of a healthy model, for the page.
        model: The model that was probed.
        batch: What it was probed with.
        command: What was typed, for the page.

    Returns:
        The path.

    Raises:
        OptionError: Another ending, or a folder that does not exist.
        MissingDependencyError: A picture without vl-convert.
    """
    from initlab.report.probe.files import write_beside, write_profile

    target = Path(path)
    if isinstance(profile, SideBySide):
        write_beside(target, profile)
        return target
    singular = None if model is None else _singular(profile, model, batch)
    write_profile(target, profile, limits=limits, singular=singular, command=command)
    return target


def _singular(profile: Profile, model: object, batch: object) -> SingularFigure | None:
    """None where there is no Jacobian to be had."""
    if not hasattr(batch, "shape"):
        return None
    from initlab.report.probe.singular import singular_figure

    try:
        with exits_refused():
            return singular_figure(profile, adapter_for(model).jacobian(model, cast(_Rows, batch)[:1]))
    except OptionError:
        # Another framework, whole numbers, several inputs, or too large: the picture goes without.
        return None
