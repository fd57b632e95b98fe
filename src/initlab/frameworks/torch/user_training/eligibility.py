"""Whether the user's modules can be trained together, found by a trial that the setup alone decides."""

from __future__ import annotations

import random
import warnings
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import UserTrainingSetup
from initlab.frameworks.torch.user_training.compiled import Counting, RefusedError
from initlab.frameworks.torch.user_training.dropout import Dropping
from initlab.frameworks.torch.user_training.measure import Probe, layer_numbers, layers_of
from initlab.frameworks.torch.user_training.objective import OwnData, own_data, ready, total_loss
from initlab.frameworks.torch.user_training.passes import (
    EVALUATED_ROWS,
    Net,
    evaluation_pass,
    net_of,
    probe_pass,
    score_pass,
    step_pass,
)
from initlab.frameworks.torch.user_training.stacking import MODELS, Stack, facts_of, names_of, stacked
from initlab.frameworks.torch.user_training.vmapped import Programs, evaluated, probed_together
from initlab.frameworks.torch.writing.state import seeded

LEAST_STEPS = 50
"""Steps of a run from which on the trial is worth its time, up to a second in a process that has not used vmap."""

MOST_NUMBERS = 50_000
"""Numbers that a step of one model writes on its way forth and back, and parameters, up to which it is in a chunk.

A full chunk takes, of the time of its models one by one, 1/8 to 1/10 at 5,000 numbers, 1/4 to 1/5 at 13,000 to 25,000,
1/3 at 56,000, 1/2 at 80,000 and 4/5 at 320,000; and chunks are not always full."""

_TOLERANCE = 1e-4  # of the largest number beside it: a few hundred float32 roundings
_STEPS = 3


class Company(NamedTuple):
    """How the models of a setup train.

    Attributes:
        size: Models at a time: 32, or 1.
        reason: Why they train one by one; empty where they train together.
        programs: What a chunk computes; None where they train one by one.
    """

    size: int
    reason: str
    programs: Programs | None


_FOUND: WeakKeyDictionary[UserTrainingSetup, Company] = WeakKeyDictionary()


def company(setup: UserTrainingSetup) -> Company:
    """How the models of a setup train; a function of the setup alone, found once a process.

    Together where ``torch.func`` takes the module, where a few steps give what the module alone gives, to float32
    rounding, and give it bit for bit in every place of a chunk, and where a run is long and a step small enough.
    """
    if setup not in _FOUND:
        try:
            with warnings.catch_warnings(action="ignore"):  # of what it would cost, which a refusal says
                _FOUND[setup] = Company(MODELS, "", _tried(setup))
        except RefusedError as refused:
            _FOUND[setup] = Company(1, str(refused), None)
        except Exception as error:  # the user's code under vmap may raise anything; alone it says what is wrong
            said = (str(error).splitlines() or [""])[0].partition(". ")[0]
            _FOUND[setup] = Company(1, f"{type(error).__name__}: {said}".rstrip(": "), None)
    return _FOUND[setup]


def _tried(setup: UserTrainingSetup) -> Programs:
    """What chunks compute, seen to be right."""
    steps = setup.budget.steps(len(setup.dataset.x_train))
    if steps < LEAST_STEPS:
        raise RefusedError(f"a run has {steps} steps, fewer than {LEAST_STEPS}")
    if setup.arch.parameters > MOST_NUMBERS:
        raise RefusedError(f"the model has {setup.arch.parameters:,} parameters, more than {MOST_NUMBERS:,}")
    model, alone = (ready(setup, 0) for _ in range(2))
    names, facts, data = names_of(alone), facts_of(alone), own_data(setup, torch.device("cpu"))
    batches = _batches(setup, data)
    with seeded(0):
        _check_pass(model, data.x_train.index_select(0, batches[0]))
    if facts_of(ready(setup, 1)) != facts:
        raise RefusedError("another seed builds a module of other attributes")
    with seeded(0):
        _stirred(alone)
        net, stack = net_of(setup, model, names), stacked(setup, names, [alone])
        programs = _recorded(net, stack, data, batches, facts)
    _check_steps(setup, programs, stack, alone, batches)
    _check_measured(setup, programs, stack, alone)
    if facts_of(alone) != facts:
        raise RefusedError("a pass changes an attribute of the module that is no buffer")
    return programs


def _stirred(module: nn.Module) -> None:
    """Move every parameter a little: of zeros, one cannot see whether they came from the right place."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn_like(p), alpha=0.1)


def _batches(setup: UserTrainingSetup, data: OwnData) -> list[Tensor]:
    """Rows of the first steps and of the last of an epoch, which may be fewer."""
    rows = torch.arange(len(data.x_train))
    found = list(torch.split(rows, min(setup.budget.batch_size, len(rows))))
    return [*found[:_STEPS], found[-1]]


def _recorded(net: Net, stack: Stack, data: OwnData, batches: list[Tensor], facts: list[object]) -> Programs:
    by_rows = {len(rows): rows for rows in batches}
    tests = {len(x): x for x in torch.split(data.x_test, EVALUATED_ROWS)}
    x, y = (
        {n: _for_each(t.index_select(0, rows)) for n, rows in by_rows.items()} for t in (data.x_train, data.y_train)
    )
    return Programs(
        data=data,
        names=net.names,
        facts=facts,
        steps={n: step_pass(net, stack, x[n], y[n]) for n in by_rows},
        probe=probe_pass(net, stack, data),
        evaluations={n: evaluation_pass(net, stack, rows) for n, rows in tests.items()},
        score=score_pass(net, stack, torch.zeros(MODELS, len(data.y_test), net.setup.arch.outputs), data.y_test),
    )


def _check_pass(model: nn.Module, x: Tensor) -> None:
    """That a step of one model is small, and draws nothing but masks."""
    model.train()
    before = _generator_states()
    with Counting() as counting, Dropping():
        outputs = model(x)
        torch.autograd.grad(outputs.sum(), [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    if counting.numbers > MOST_NUMBERS:
        raise RefusedError(f"a step of one model writes {counting.numbers:,} numbers, more than {MOST_NUMBERS:,}")
    if _generator_states() != before:
        raise RefusedError("its forward pass draws random numbers outside of dropout")


def _generator_states() -> list[object]:
    numpy = np.random.get_state()  # noqa: NPY002  (the model may use the global generator)
    return [torch.get_rng_state().tolist(), random.getstate(), str(numpy)]


def _check_steps(
    setup: UserTrainingSetup, programs: Programs, stack: Stack, alone: nn.Module, batches: list[Tensor]
) -> None:
    """That a few passes, with dropout, give the losses, gradients and buffers of the module alone."""
    data, layers = programs.data, layers_of(alone, setup.arch.weights)
    generators = [torch.Generator().manual_seed(0) for _ in range(MODELS)]
    alone.train()
    with seeded(0):
        for rows in batches:
            x, y = (t.index_select(0, rows) for t in (data.x_train, data.y_train))
            loss = total_loss(setup, [layer.weight for layer in layers], alone(x), y)
            params = [p for p in alone.parameters() if p.requires_grad]
            wanted = torch.autograd.grad(loss, params, allow_unused=True, materialize_grads=True)
            step = programs.steps[len(rows)]
            found, right, *gradients = step(*stack.tensors(), _for_each(x), _for_each(y), generators=generators)
            _check_equal("the loss", found, loss.detach())
            _check_places("the accuracy", right)
            largest = max((float(g.abs().max()) for g in wanted if g.numel()), default=0.0)
            for name, mine, theirs in zip(programs.names.trained, gradients, wanted, strict=True):
                _check_equal(f"the gradient of {name}", mine, theirs, largest=largest)
            for name, buffer in alone.named_buffers():
                _check_equal(f"the buffer {name}", stack.buffers[name], buffer)


def _check_measured(setup: UserTrainingSetup, programs: Programs, stack: Stack, alone: nn.Module) -> None:
    """That evaluation and probe give what the module alone gives."""
    data, layers = programs.data, layers_of(alone, setup.arch.weights)
    weights = [layer.weight for layer in layers]
    alone.eval()
    with torch.no_grad():
        _check_equal("the output", evaluated(programs, stack), alone(data.x_test))
    y = data.y_train[:PROBE_ROWS]
    one = Probe(alone, layers)(data.x_train[:PROBE_ROWS], lambda o: total_loss(setup, weights, o, y))
    loss, numbers, *arrays = probed_together(programs, stack)
    _check_equal("the loss of the probe", loss, one.loss)
    kinds = zip(layers, one.activations, one.gradients, strict=True)
    wanted = [layer_numbers(layer.param, layer.weight.detach(), a, g) for layer, a, g in kinds]
    _check_equal("what is measured of a layer", numbers.nan_to_num(), torch.stack(wanted, -1).nan_to_num())
    for array in arrays:
        _check_places("what is measured of a layer", array)


def _check_equal(what: str, found: Tensor, wanted: Tensor, *, largest: float = 0.0) -> None:
    _check_places(what, found)
    first, wanted = found[0].double(), wanted.double()
    scale = max(largest, float(wanted.abs().max())) if wanted.numel() else 0.0
    if first.shape != wanted.shape or not bool(((first - wanted).abs() <= _TOLERANCE * scale).all()):
        raise RefusedError(f"{what} is another than that of the module alone")


def _check_places(what: str, found: Tensor) -> None:
    if not bool(((found == found[:1]) | (found.isnan() & found[:1].isnan())).all()):
        raise RefusedError(f"{what} depends on a model's place among the others")


def _for_each(x: Tensor) -> Tensor:
    return x.expand(MODELS, *x.shape).contiguous()
