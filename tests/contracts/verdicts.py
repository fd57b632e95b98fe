"""Everything that initlab decides about some models, as plain data without a sentence: run it to see it.

``python -m tests.contracts.verdicts`` prints the decisions of initlab as it is, ``--reworded`` those of its reworded
edition, each with a few of its sentences, which are to differ.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if __name__ == "__main__" and "--reworded" in sys.argv:
    from tests.contracts import rewording

    rewording.install()

import numpy as np
import torch
from torch import nn

ROWS = np.random.default_rng(7).standard_normal((12, 6)).astype(np.float32)
TARGETS = np.arange(12) % 5


class Turned(nn.Module):
    """Values multiplied by numbers of no layer on their way, as by rotary positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 5)
        self.register_buffer("angles", torch.cos(torch.arange(16.0)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x) * self.angles)


class Designed(nn.Module):
    """Values that somebody meant: a closed branch, a gate, a frozen layer, complex phases, a prior."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Linear(6, 16), nn.LayerNorm(16)
        self.inner, self.outer = nn.Linear(16, 24), nn.Linear(24, 16)
        self.gamma = nn.Parameter(torch.full((16,), 1e-3))
        self.phases = nn.Parameter(torch.ones(3, dtype=torch.complex64))
        self.head = nn.Linear(16, 5)
        nn.init.zeros_(self.outer.weight)
        nn.init.constant_(self.head.bias, -4.6)
        self.stem.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        h = h + self.outer(torch.relu(self.inner(self.norm(h))))
        return self.head(h + self.gamma * torch.tanh(h))


def padded() -> nn.Module:
    """A table with a row of padding."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Embedding(40, 8, padding_idx=2), nn.Flatten(), nn.Linear(24, 5))


def drawn_over() -> nn.Module:
    """The same, with the row of padding drawn over and the layer behind it at zero."""
    model = padded()
    with torch.no_grad():
        model[0].weight[2] = 1.0  # type: ignore[index,operator]
        nn.init.zeros_(model[2].weight)  # type: ignore[arg-type]
    return model


def cloned() -> nn.Module:
    """Layers that are copies of one."""
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def designed() -> nn.Module:
    """A model of designed values."""
    torch.manual_seed(3)
    return Designed()


def turned() -> nn.Module:
    """A model that multiplies by numbers of no layer."""
    torch.manual_seed(3)
    return Turned()


def keras_net() -> Any:
    """A net with a norm, a branch that starts closed, and a part that is not understood."""
    import keras

    keras.utils.set_random_seed(3)
    x = keras.Input((6,))
    h = keras.layers.Dense(16, "tanh", kernel_initializer=keras.initializers.GlorotNormal(1))(x)
    inner = keras.layers.Dense(24, "relu", kernel_initializer=keras.initializers.HeNormal(2))(
        keras.layers.LayerNormalization()(h)
    )
    h = keras.layers.Add()([h, keras.layers.Dense(16, kernel_initializer="zeros")(inner)])
    head = keras.layers.Dense(5, bias_initializer=keras.initializers.Constant(-4.6))
    return keras.Model(x, head(keras.ops.fft((h, h))[0]))


def flax_net(*, bias: float = 0.0) -> Any:
    """A chain of ReLUs whose biases may kill them."""
    from flax import nnx

    rngs, layers = nnx.Rngs(3), []
    for inputs in (6, 32, 32):
        fill = nnx.initializers.constant(bias)
        layers += [nnx.Linear(inputs, 32, bias_init=fill, rngs=rngs), nnx.relu]
    return nnx.Sequential(*layers, nnx.Linear(32, 5, rngs=rngs))


def flax_zeros() -> Any:
    """A chain whose hidden weights are all zero."""
    from flax import nnx

    zero, rngs = nnx.initializers.zeros_init(), nnx.Rngs(3)
    first, second = (nnx.Linear(n, 16, kernel_init=zero, rngs=rngs) for n in (6, 16))
    return nnx.Sequential(first, nnx.tanh, second, nnx.tanh, nnx.Linear(16, 5, rngs=rngs))


def plans(build: Callable[[], Any], said: list[str], **options: Any) -> Iterator[object]:
    """What is decided of every parameter by two schemes, and how often something is said."""
    import initlab

    for name in ("auto", "torch_default"):
        plan = initlab.plan(build(), name, **options)
        said += [*plan.notes, *(entry.why for entry in plan)]
        for entry in plan:
            p = entry.param
            facts = (p.shape, p.role, p.f_in, p.f_out, p.in_moment, repr(p.branch), p.norm, p.tied_to, p.blocks)
            kept = (p.frozen, p.intent != "", p.padding_row, p.is_drawable, p.is_output, p.layer_kind)
            yield p.path, p.native, entry.action, repr(entry.law), facts, kept
        yield len(plan.notes)


def audits(build: Callable[[], Any], said: list[str]) -> Iterator[object]:
    """The verdict on every parameter: against a scheme, against a plan that was applied, and against a lock."""
    import initlab

    model = build()
    kept = initlab.lock(build(), None)
    made = build()
    plan = initlab.plan(made, "he_normal")
    plan.apply(seed=5)
    for one, declared, options in (
        (model, "torch_default", {}),
        (made, plan, {"seed": 5}),
        (made, "he_normal", {}),
        (model, kept, {"exact": True}),
        (made, kept, {}),
    ):
        found = initlab.audit(one, declared, **options)
        said += [entry.why for entry in found]
        yield found.ok, len(found.notes), [entry.native for entry in found.wrong]
        yield [(entry.path, entry.verdict, repr(entry.errors)) for entry in found]


def probes(model: Any, batch: Any, targets: Any, said: list[str]) -> Iterator[object]:
    """Every number of a profile and every finding."""
    import initlab

    profile = initlab.probe(model, batch, targets)
    found = profile.diagnose()
    said += [*profile.evidence.notes, *(finding.what for finding in found.findings)]
    said += [one.why for one in profile.evidence.expected.values()]
    yield [(s.path, s.metric, repr(s.predicted), repr(s.measured), repr(s.stderr)) for s in profile.stats]
    yield [(row.path, row.f, row.is_hidden, row.clones, bool(row.unknown)) for row in profile.rows]
    yield len(profile.evidence.notes), found.healthy
    for f in found.findings:
        yield f.kind, f.severity, f.where, repr(f.value), repr(f.limit), f.schemes


def exits(said: list[str]) -> Iterator[object]:
    """Exit codes of commands."""
    from initlab.cli.main import main

    here = "tests.contracts.verdicts"
    with tempfile.TemporaryDirectory() as folder:
        lock = str(Path(folder) / "lock.json")
        for command in (
            ["plan", f"{here}:designed"],
            ["plan", f"{here}:padded", "--scheme", "he_norml"],
            ["lock", f"{here}:padded", "--out", lock],
            ["audit", f"{here}:padded", "--lock", lock, "--exact"],
            ["audit", f"{here}:drawn_over", "--lock", lock],
            ["audit", f"{here}:turned", "--lock", lock],
            ["audit", f"{here}:padded", "--recipe", "gpt2"],
            ["museum", "check", "9", f"{here}:turned"],
        ):
            with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
                code = main(command)
            said.append(out.getvalue() + err.getvalue())
            yield command[:2], code


def decisions() -> tuple[dict[str, list[object]], dict[str, list[str]]]:
    """By case, what is decided and what is said."""
    from initlab.museum.exhibits import DEPOT, EXHIBITS
    from initlab.museum.visit import built_twin

    decided: dict[str, list[object]] = {}
    said: dict[str, list[str]] = {}

    def run(name: str, case: Callable[[list[str]], Iterator[object]]) -> None:
        said[name] = []
        decided[name] = list(case(said[name]))

    rows, targets = torch.from_numpy(ROWS), torch.from_numpy(TARGETS)
    for build in (padded, drawn_over, cloned, designed, turned):
        run(f"plan {build.__name__}", lambda s, b=build: plans(b, s))
        run(f"audit {build.__name__}", lambda s, b=build: audits(b, s))
    run("plan designed traced", lambda s: plans(designed, s, example=rows))
    for build in (designed, turned):
        run(f"probe {build.__name__}", lambda s, b=build: probes(b(), rows, targets, s))
    for exhibit in (*EXHIBITS, *DEPOT):
        batch = exhibit.batch(16)
        run(f"torch {exhibit.name}", lambda s, e=exhibit, b=batch: probes(built_twin(e, "broken"), *b, s))
    for exhibit in (e for e in EXHIBITS if e.keras and e.number in (2, 9)):
        batch = exhibit.batch(16)
        run(
            f"keras {exhibit.name}",
            lambda s, e=exhibit, b=batch: probes(built_twin(e, "broken", framework="keras"), *b, s),
        )
    run("plan keras", lambda s: plans(keras_net, s))
    run("audit keras", lambda s: audits(keras_net, s))
    run("probe keras", lambda s: probes(keras_net(), ROWS, TARGETS, s))
    run("plan flax", lambda s: plans(flax_net, s))
    run("audit flax", lambda s: audits(flax_net, s))
    run("probe flax dead", lambda s: probes(flax_net(bias=-9.0), ROWS, TARGETS, s))
    run("probe flax zeros", lambda s: probes(flax_zeros(), ROWS, TARGETS, s))
    run("exit codes", exits)
    return decided, said


if __name__ == "__main__":
    json.dump(decisions(), sys.stdout)
