"""initlab: a laboratory and a library for the initial weights of neural networks.

The names below are loaded on first use, so that ``import initlab`` costs little more than ``import numpy``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from initlab._version import __version__

if TYPE_CHECKING:
    from initlab import jax as jax  # the redundant names tell checkers that it is meant to be public
    from initlab import keras as keras
    from initlab import theory
    from initlab import torch as torch
    from initlab.api.auditing import audit, lock
    from initlab.api.comparison import Comparison, compare
    from initlab.api.growing import Growth, grow
    from initlab.api.materializing import materialize, record_construction
    from initlab.api.planning import initialize, plan, reset
    from initlab.api.probing import picture, probe, watch
    from initlab.api.runs_elsewhere import RunsComparison, compare_runs
    from initlab.api.sweeping import sweep
    from initlab.api.vocabulary import resize_vocabulary
    from initlab.auditing.records import Audit
    from initlab.core.errors import IncompleteWarning, InitlabError
    from initlab.core.facts.arch import ConvNet, Mlp
    from initlab.core.facts.layers import LayerParam, register_layer
    from initlab.core.facts.spec import Axes, Branch, ModelSpec, ParamSpec
    from initlab.core.laws.draw import draw
    from initlab.core.plans.bound import BoundPlan
    from initlab.frameworks.registry import Framework, register_framework
    from initlab.papers import PaperResult, paper
    from initlab.probing.checks.limits import Limits
    from initlab.probing.checks.registry import Case, register_check
    from initlab.probing.records import Finding
    from initlab.schemes import register_scheme, scheme
    from initlab.study.trackers.protocol import TrackedRun, register_tracker
    from initlab.tasks import from_arrays, load_task, register_task
    from initlab.theory import register_activation

_HOMES = {
    "Audit": "initlab.auditing.records",
    "Axes": "initlab.core.facts.spec",
    "BoundPlan": "initlab.core.plans.bound",
    "Branch": "initlab.core.facts.spec",
    "Case": "initlab.probing.checks.registry",
    "Comparison": "initlab.api.comparison",
    "ConvNet": "initlab.core.facts.arch",
    "Finding": "initlab.probing.records",
    "Framework": "initlab.frameworks",
    "Growth": "initlab.api.growing",
    "IncompleteWarning": "initlab.core.errors",
    "InitlabError": "initlab.core.errors",
    "LayerParam": "initlab.core.facts.layers",
    "Limits": "initlab.probing.checks.limits",
    "Mlp": "initlab.core.facts.arch",
    "ModelSpec": "initlab.core.facts.spec",
    "PaperResult": "initlab.papers",
    "ParamSpec": "initlab.core.facts.spec",
    "RunsComparison": "initlab.api.runs_elsewhere",
    "TrackedRun": "initlab.study.trackers.protocol",
    "audit": "initlab.api.auditing",
    "compare": "initlab.api.comparison",
    "compare_runs": "initlab.api.runs_elsewhere",
    "draw": "initlab.core.laws.draw",
    "from_arrays": "initlab.tasks",
    "grow": "initlab.api.growing",
    "initialize": "initlab.api.planning",
    "load_task": "initlab.tasks",
    "lock": "initlab.api.auditing",
    "materialize": "initlab.api.materializing",
    "paper": "initlab.papers",
    "picture": "initlab.api.probing",
    "plan": "initlab.api.planning",
    "probe": "initlab.api.probing",
    "record_construction": "initlab.api.materializing",
    "register_activation": "initlab.theory",
    "register_check": "initlab.probing.checks.registry",
    "register_framework": "initlab.frameworks",
    "register_layer": "initlab.core.facts.layers",
    "register_scheme": "initlab.schemes",
    "register_task": "initlab.tasks",
    "register_tracker": "initlab.study.trackers",
    "reset": "initlab.api.planning",
    "resize_vocabulary": "initlab.api.vocabulary",
    "scheme": "initlab.schemes",
    "sweep": "initlab.api.sweeping",
    "watch": "initlab.api.probing",
}
# The schemes in a framework's own form; not in __all__, since a star import would import all three frameworks.
_FORMS = frozenset({"jax", "keras", "torch"})
_ROOMS = frozenset({"testing", "theory"}) | _FORMS

__all__ = [
    "Audit",
    "Axes",
    "BoundPlan",
    "Branch",
    "Case",
    "Comparison",
    "ConvNet",
    "Finding",
    "Framework",
    "Growth",
    "IncompleteWarning",
    "InitlabError",
    "LayerParam",
    "Limits",
    "Mlp",
    "ModelSpec",
    "PaperResult",
    "ParamSpec",
    "RunsComparison",
    "TrackedRun",
    "__version__",
    "audit",
    "compare",
    "compare_runs",
    "draw",
    "from_arrays",
    "grow",
    "initialize",
    "load_task",
    "lock",
    "materialize",
    "paper",
    "picture",
    "plan",
    "probe",
    "record_construction",
    "register_activation",
    "register_check",
    "register_framework",
    "register_layer",
    "register_scheme",
    "register_task",
    "register_tracker",
    "reset",
    "resize_vocabulary",
    "scheme",
    "sweep",
    "theory",
    "watch",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from initlab.core.extras import needed_by

        with needed_by(f"initlab.{name}"):
            value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"initlab.{name}")
    raise AttributeError(f"module 'initlab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FORMS})
