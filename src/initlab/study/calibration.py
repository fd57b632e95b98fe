"""Data-driven starts of a run: the batch that they look at, and the plan with the scales that it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import permutation, stream
from initlab.core.errors import OptionError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.facts.user_model import OwnModel
from initlab.core.laws import Calibrated
from initlab.core.laws.draw import draw
from initlab.core.plans.calibration import Laws, Output, calibrate, calibrated_rows, is_data_driven
from initlab.core.plans.plan import Plan
from initlab.core.training.dataset import Dataset
from initlab.core.training.forward import forward, normed
from initlab.frameworks import FRAMEWORKS
from initlab.study.records import RunSpec
from initlab.theory import activation

ROWS = 256
"""Training rows that a data-driven start looks at, or all where there are fewer."""

Floats = NDArray[np.float64]


def calibration_rows(spec: RunSpec, dataset: Dataset) -> NDArray[np.float32]:
    """The batch that a run's data-driven start looks at: training rows, drawn by the seed of the run's batches.

    It is the same for all schemes of one seed.

    Example:
        >>> from initlab.core.training.protocol import Budget, Optimizer
        >>> spec = RunSpec("lsuv", "", "", Mlp((1, 2)), Optimizer(), Budget(1, 1), seed=3)
        >>> x, y = np.arange(600, dtype=np.float32)[:, None], np.zeros(600, np.int32)
        >>> len(set(calibration_rows(spec, Dataset("toy", x, y, x[:0], y[:0])).ravel()))
        256
    """
    order = permutation(stream(spec.order_seed, "rows", purpose="calibration"), len(dataset.x_train))
    return dataset.x_train[order[:ROWS]]


def check_calibrated(spec: RunSpec, plan: Plan) -> None:
    """Nothing, where a run's network can be calibrated, or need not be.

    Raises:
        OptionError: A recurrent network under a data-driven scheme.
    """
    if isinstance(spec.arch, Recurrent) and is_data_driven(plan.entries):
        raise OptionError(
            "a recurrent network uses one weight at every step, whose outputs no scale gives one std",
            where=spec.scheme,
            fix="leave this scheme out",
        )


def calibrated_plan(spec: RunSpec, plan: Plan, dataset: Dataset, build: Callable[[], object] | None) -> Plan:
    """The plan of a run, with the scales that its batch gives to data-driven rows; others are as they were.

    Of initlab's own networks the pass is that of NumPy in float64, with the batch's own moments in batch norms and
    without dropout; a model of the user's is built under the run's seed, as for its training, and captured.

    Args:
        spec: The run.
        plan: Its plan.
        dataset: Its data, of which training rows alone are looked at.
        build: What builds the user's own model.

    Raises:
        OptionError: A layer that no scale brings to its target.
    """
    if not is_data_driven(plan.entries):
        return plan
    check_calibrated(spec, plan)
    rows = calibration_rows(spec, dataset)
    entries = {entry.param.path: entry for entry in plan.entries if entry.action == "initialise"}
    if isinstance(spec.arch, OwnModel):
        assert build is not None
        adapter = FRAMEWORKS[spec.framework].load()
        model, _ = adapter.build_own(build, spec.weight_seed)
        x = rows.astype(spec.arch.row_kind).reshape(-1, *spec.arch.row_shape)
        adapter.outputs(model, x[:1])  # some models are built by their first call
        entries = calibrated_rows(model, adapter, entries, spec.weight_seed, x)
    else:
        assert isinstance(spec.arch, Mlp)
        laws = {path: e.law for path, e in entries.items() if isinstance(e.law, Calibrated)}
        found = calibrate(laws, _own_look(spec.arch, plan, spec.weight_seed, rows.astype(np.float64)))
        for path, one in found.items():
            entries[path] = replace(entries[path], law=one.law, why=f"{entries[path].why}: {one}")
    return replace(plan, entries=tuple(entries.get(entry.param.path, entry) for entry in plan.entries))


def _own_look(arch: Mlp, plan: Plan, seed: int, x: Floats) -> Callable[[Laws], Mapping[str, Output]]:
    """The std of each dense layer's sums, over a batch."""
    base: dict[str, Floats] = {}
    for entry in plan.entries:
        if entry.law is not None:
            p, law = entry.param, entry.law.base if isinstance(entry.law, Calibrated) else entry.law
            base[p.path] = draw(law, p.shape, seed=seed, path=p.path, dtype="float64").astype(np.float64)
    act = activation(arch.activation)

    def look(laws: Laws) -> Mapping[str, Output]:
        weights = {path: w * ((laws[path].scale or 1.0) if path in laws else 1.0) for path, w in base.items()}
        seen: dict[str, Output] = {}

        def dense(h: Floats, i: int) -> Floats:
            z = h @ weights[f"{i}/weight"].T + weights.get(f"{i}/bias", 0.0)
            seen[f"{i}/weight"] = Output(float(z.std(ddof=1)), len(z), int(z.size - np.isfinite(z).sum()))
            return np.asarray(z)

        def activated(z: Floats, i: int) -> tuple[Floats, Any]:
            found, moments = normed(arch, weights, z, i, moments_of=_moments, sqrt=np.sqrt)
            return act(found), moments

        with np.errstate(all="ignore"):
            forward(arch, x, dense=dense, activated=activated)
        return seen

    return look


def _moments(z: Floats, axis: int) -> tuple[Floats, Floats]:
    return z.mean(axis, keepdims=axis == -1), z.var(axis, keepdims=axis == -1)
