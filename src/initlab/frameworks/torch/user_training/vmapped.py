"""Chunks of the user's modules trained at once, each with its own batches, dropout and running moments.

Batches, records and the rules of divergence are those of ``single``, whose losses these are to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from initlab.core.training.batches import dropout_key
from initlab.core.training.loop import Array, State, train_chunk
from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import Start, Trained, UserTrainingSetup
from initlab.frameworks.torch.user_training.objective import OwnData
from initlab.frameworks.torch.user_training.passes import EVALUATED_ROWS, Pass
from initlab.frameworks.torch.user_training.single import sees_whole_rows
from initlab.frameworks.torch.user_training.stacking import MODELS, Names, Stack, stacked


@dataclass(frozen=True, eq=False)
class Programs:
    """All that chunks of one setup compute.

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


def train_together(
    setup: UserTrainingSetup, programs: Programs, starts: Sequence[Start], modules: Sequence[nn.Module]
) -> list[Trained]:
    """The records of at most 32 starts; a chunk that is not full is filled up with copies of its last model.

    Args:
        setup: What is trained.
        programs: What is computed.
        starts: Seeds and weights.
        modules: What was built for each, with its weights; they stay as they are.
    """
    return train_chunk(
        setup,
        starts,
        lambda filled: _Chunk(setup, programs, filled, stacked(setup, programs.names, modules)),
        size=MODELS,
    )


class _Chunk:
    """Models in training, and what was last measured of them."""

    found: list[Tensor]

    def __init__(self, setup: UserTrainingSetup, programs: Programs, starts: Sequence[Start], stack: Stack) -> None:
        self.setup, self.programs, self.stack, self.step = setup, programs, stack, 0
        self.generators = [torch.Generator().manual_seed(int(dropout_key(start.seed)[0])) for start in starts]

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[Array, Array]:
        data, order, seen = self.programs.data, torch.from_numpy(np.stack(orders)).long(), []
        for i, count in enumerate(counts):
            rows = order[:, i, :count].reshape(-1)
            x, y = (t.index_select(0, rows).view(MODELS, count, *t.shape[1:]) for t in (data.x_train, data.y_train))
            step = self.programs.steps[count]
            losses, right, *gradients = step(*self.stack.tensors(), x, y, generators=self.generators)
            self.step += 1
            self.stack.take_step(gradients, step=self.step)
            seen.append(torch.stack([losses, right], 1))
        numbers = _host(torch.stack(seen, -1))
        return numbers[:, 0], numbers[:, 1]

    def measure(self) -> State:
        outputs = evaluated(self.programs, self.stack)
        test = self.programs.score(*self.stack.tensors(), outputs, self.programs.data.y_test)
        losses, layers, *arrays = probed_together(self.programs, self.stack)
        self.found = [outputs, *arrays]
        return State(_host(torch.stack(test, -1)), _host(losses), _host(layers))

    def arrays(self) -> list[tuple[Array, Array, Array]]:
        weights = [self._param(p.native) for p in self.setup.arch.weights]
        arrays = [_host(tensor) for tensor in (*weights, *self.found[1:])]
        depth = len(weights)
        return list(zip(arrays[:depth], arrays[depth : 2 * depth], arrays[2 * depth :], strict=True))

    def outputs(self) -> Array:
        return _host(self.found[0])

    def first_weights(self, start: Start) -> Array | None:
        whole = sees_whole_rows(self.setup, start)
        return _host(self._param(self.setup.arch.weights[0].native)) if whole else None

    def variables(self) -> dict[str, Array]:
        held = {**self.stack.trained, **self.stack.kept, **self.stack.buffers}
        return {name: _host(tensor) for name, tensor in held.items()}

    def _param(self, name: str) -> Tensor:
        return self.stack.trained[name] if name in self.stack.trained else self.stack.kept[name]


def _host(tensor: Tensor) -> Array:
    array: Array = tensor.float().numpy()
    return array


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
