"""Cases in which a rule that stands once a framework has given three numbers: each with the number that is right."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from tests.parity.comparison import batch_of, targets_of, written
from tests.parity.zoo import NETS
from tests.parity.zoo.net import FRAMEWORKS, Framework

import initlab
from initlab.core.errors import InitlabError
from initlab.frameworks import adapter_for


@dataclass(frozen=True)
class Drift:
    """One case.

    Attributes:
        case: What is built.
        asked: Which number or verdict of it is looked at.
        right: What it is in all frameworks, as the page shows it.
        told: What a framework gives.
        elsewhere: What it is in a framework whose own rule it is.
    """

    case: str
    asked: str
    right: str
    told: Callable[[Framework], str]
    elsewhere: Mapping[Framework, str] = field(default_factory=dict)

    @property
    def row(self) -> str:
        """The line of the page."""
        cells = (self.elsewhere.get(framework, self.right) for framework in FRAMEWORKS)
        return f"| {self.case} | {self.asked} | {' | '.join(cells)} |"


def _std(name: str, scheme: str, key: str, framework: Framework) -> float:
    """The std that a scheme gives a weight."""
    net = NETS[name]
    entries = initlab.plan(getattr(net, framework)(), scheme, example=batch_of(net, framework)[0]).plan.entries
    return next(entry.std for entry in entries if entry.param.path == key)


def _planned(name: str, key: str, framework: Framework) -> str:
    """What a plan does with a parameter that holds what the zoo gives it."""
    net = NETS[name]
    model, batch = getattr(net, framework)(), batch_of(net, framework)
    adapter = adapter_for(model)
    written(net, framework, adapter=adapter, model=model, spec=adapter.describe(model, example=batch[0]))
    entries = initlab.plan(model, "auto", example=batch[0]).plan.entries
    return next(entry.action for entry in entries if entry.param.path == key)


def _signal_of_dense(framework: Framework) -> str:
    """fan_in Var(w) E[x^2], where x is a row of the table times sqrt(48)."""
    table, dense = (_std("a table times sqrt(d)", "auto", key, framework) for key in ("table/weight", "fc/weight"))
    return f"{48 * dense**2 * 48 * table**2:.4f}"


def _signal_kept(framework: Framework) -> str:
    """The product of fan_in Var(w) / 4 over the layers behind the first."""
    net = NETS["ten layers times one half"]
    entries = initlab.plan(getattr(net, framework)(), "exact_gain_normal").plan.entries
    stds = [entry.std for entry in entries if entry.param.is_weight][1:]
    return f"{math.prod(6 * std**2 / 4 for std in stds if std is not None):.4f}"


def _loss_said(framework: Framework) -> str:
    net = NETS["targets of real numbers"]
    model, batch = getattr(net, framework)(), batch_of(net, framework)
    initlab.initialize(model, "he_normal", seed=7)
    return f"{initlab.probe(model, batch[0], targets_of(net, framework)).evidence.loss:.4f}"


def _labelled(label: int, framework: Framework) -> str:
    """What a probe makes of a batch one of whose classes is this number."""
    net = NETS["a sequence of layers without names"]
    labels = np.array(targets_of(net, "keras"), np.int64)
    labels[3] = label
    model, batch = getattr(net, framework)(), batch_of(net, framework)
    try:
        profile = initlab.probe(model, batch[0], torch.from_numpy(labels) if framework == "torch" else labels)
    except InitlabError as error:
        return f"refused in {len(str(error).splitlines())} line"
    return "ignored" if np.isfinite(profile.evidence.reading.loss) else "counted"


def _planning(name: str, key: str) -> Callable[[Framework], str]:
    return lambda framework: _planned(name, key, framework)


DRIFTS: tuple[Drift, ...] = (
    Drift("`Embedding(11, 48) * sqrt(48) -> Dense` under `auto`", "E[z^2] of the Dense", "1.0000", _signal_of_dense),
    Drift(
        "ten `Dense * 0.5` under `exact_gain_normal`",
        "E[z^2] of the last over that of the first",
        "1.0000",
        _signal_kept,
    ),
    Drift(
        "`Dense(12) -> relu -> Dense(1)` under the mean square error",
        "the loss that theory expects",
        "2.7479",
        _loss_said,
    ),
    Drift("cross entropy with a class of -1", "the probe", "refused in 1 line", lambda f: _labelled(-1, f)),
    Drift(
        "cross entropy with a class of -100",
        "the probe",
        "refused in 1 line",
        lambda f: _labelled(-100, f),
        elsewhere={"torch": "ignored"},
    ),
    Drift(
        "an output bias of 3 and -0.5",
        "under `auto`",
        "initialise",
        _planning("an output bias of 3 and -0.5", "head/bias"),
    ),
    Drift(
        "an output bias of log class shares",
        "under `auto`",
        "initialise",
        _planning("an output bias of log class shares", "head/bias"),
    ),
    Drift(
        "a zero norm scale that ends its branch",
        "under `auto`",
        "keep",
        _planning("a zero norm scale that ends a branch", "norm1/scale"),
    ),
    Drift(
        "a zero norm scale that ends no branch",
        "under `auto`",
        "initialise",
        _planning("a zero norm scale that ends no branch", "norm/scale"),
    ),
)
