"""Chunks of the user's modules trained at once, each with its own batches, dropout and running moments.

Batches, records and the rules of divergence are those of ``single``, whose losses these are to float32 rounding.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from initlab.core.training.batches import dropout_key, epoch_order
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.outcomes import PROBE_ROWS, EpochRecord, trained
from initlab.core.training.protocol import OwnRecipe, Start, Trained
from initlab.frameworks.torch.user_training.objective import OwnData
from initlab.frameworks.torch.user_training.passes import EVALUATED_ROWS, Pass
from initlab.frameworks.torch.user_training.single import sees_whole_rows
from initlab.frameworks.torch.user_training.stacking import MODELS, Names, Stack, stacked


@dataclass(frozen=True, eq=False)
class Programs:
    """All that chunks of one recipe compute.

    Attributes:
        data: The data set.
        names: The names of a module's tensors.
        facts: What every module of a chunk has in common (``stacking.facts_of``).
        steps: By the number of rows.
        evaluations: By the number of rows.
        probe: On the probe batch.
        score: Of the outputs for all test rows.
    """

    data: OwnData
    names: Names
    facts: list[object]
    steps: Mapping[int, Pass]
    evaluations: Mapping[int, Pass]
    probe: Pass
    score: Pass


@dataclass(eq=False)
class _Chunk:
    """Models in training."""

    recipe: OwnRecipe
    programs: Programs
    stack: Stack
    generators: list[torch.Generator]
    step: int = 0


def train_together(
    recipe: OwnRecipe, programs: Programs, starts: Sequence[Start], modules: Sequence[nn.Module]
) -> list[Trained]:
    """The records of at most 32 starts; a chunk that is not full is filled up with copies of its last model.

    Args:
        recipe: What is trained.
        programs: What is computed.
        starts: Seeds and weights.
        modules: What was built for each, with its weights; they stay as they are.
    """
    began = time.perf_counter()
    rows = len(programs.data.x_train)
    seeds = [start.seed for start in starts] + [starts[-1].seed] * (MODELS - len(starts))
    generators = [torch.Generator().manual_seed(int(dropout_key(seed)[0])) for seed in seeds]
    chunk = _Chunk(recipe, programs, stacked(recipe, programs.names, modules), generators)
    batch, count = min(recipe.budget.batch_size, rows), len(starts)
    counts = [min(batch, rows - first) for first in range(0, rows, batch)]
    outputs, record = _measured(chunk, 0, None, count)
    records, alive = [record], np.ones(count, bool)
    for epoch in range(1, recipe.budget.epochs + 1):
        orders = np.stack([epoch_order(seed, epoch, rows, batch) for seed in seeds])
        outputs, record = _measured(chunk, epoch, _epoch(chunk, torch.from_numpy(orders).long(), counts), count)
        records.append(record)
        alive &= np.isfinite(record.losses).all(axis=1)
        if not alive.any():
            break
    wall = (time.perf_counter() - began) / count
    return [
        trained(recipe, records, outputs, _first_weights(chunk, start), start=start, model=i, counts=counts, wall=wall)
        for i, start in enumerate(starts)
    ]


def _epoch(chunk: _Chunk, orders: Tensor, counts: Sequence[int]) -> Tensor:
    """Losses and rows classified right of each step, (models, 2, steps), after which the models have moved."""
    data, seen = chunk.programs.data, []
    for i, count in enumerate(counts):
        rows = orders[:, i, :count].reshape(-1)
        x, y = (t.index_select(0, rows).view(MODELS, count, *t.shape[1:]) for t in (data.x_train, data.y_train))
        step = chunk.programs.steps[count]
        losses, right, *gradients = step(*chunk.stack.tensors(), x, y, generators=chunk.generators)
        chunk.step += 1
        chunk.stack.take_step(gradients, step=chunk.step)
        seen.append(torch.stack([losses, right], 1))
    return torch.stack(seen, -1)


def _measured(chunk: _Chunk, epoch: int, seen: Tensor | None, count: int) -> tuple[NDArray[np.float32], EpochRecord]:
    """The test rows' outputs, and one epoch's numbers of the first ``count`` models; the rest is filling."""
    recipe, outputs = chunk.recipe, evaluated(chunk.programs, chunk.stack)
    test = chunk.programs.score(*chunk.stack.tensors(), outputs, chunk.programs.data.y_test)
    losses, layers, *arrays = probed_together(chunk.programs, chunk.stack)

    def host(tensor: Tensor) -> NDArray[np.float32]:
        array: NDArray[np.float32] = tensor.float().numpy()[:count]
        return array

    histograms = []
    if epoch in recipe.histogram_epochs:
        depth = recipe.arch.depth
        weights = [_param(chunk.stack, p.native) for p in recipe.arch.weights]
        kinds = zip(weights, arrays[:depth], arrays[depth:], strict=True)
        histograms = chunk_histograms([(host(w), host(a), host(g)) for w, a, g in kinds], epoch=epoch)
    steps = np.empty((count, 2, 0), np.float32) if seen is None else host(seen)
    record = EpochRecord(
        losses=steps[:, 0],
        hits=steps[:, 1],
        test=host(torch.stack(test, -1)),
        probe_loss=host(losses),
        layers=host(layers),
        histograms=histograms,
    )
    return host(outputs), record


def evaluated(programs: Programs, stack: Stack) -> Tensor:
    """Each model's outputs for every test row, (models, rows, outputs)."""
    blocks = torch.split(programs.data.x_test, EVALUATED_ROWS)
    return torch.cat([programs.evaluations[len(x)](*stack.tensors(), x)[0] for x in blocks], 1)


def probed_together(programs: Programs, stack: Stack) -> list[Tensor]:
    """What ``passes.probe_pass`` gives; running moments stay as they are."""
    x, y = programs.data.x_train[:PROBE_ROWS], programs.data.y_train[:PROBE_ROWS]
    moments = [buffer.clone() for buffer in stack.buffers.values()]
    generators = [torch.Generator().manual_seed(0) for _ in range(MODELS)]
    return programs.probe(*stack.trained.values(), *stack.kept.values(), *moments, x, y, generators=generators)


def _first_weights(chunk: _Chunk, start: Start) -> NDArray[np.float32] | None:
    """The weights into the first layer, (models, units, inputs), where each of its units sees the whole row."""
    recipe = chunk.recipe
    if not sees_whole_rows(recipe, start):
        return None
    weights: NDArray[np.float32] = _param(chunk.stack, recipe.arch.weights[0].native).numpy()
    return weights


def _param(stack: Stack, name: str) -> Tensor:
    return stack.trained[name] if name in stack.trained else stack.kept[name]
