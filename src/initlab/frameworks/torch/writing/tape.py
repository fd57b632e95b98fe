"""A pass through a module as a list of operations on arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.func import functional_call, functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from initlab.core.errors import UnsupportedError
from initlab.core.growth.tape import Array, Form, Step, Tape
from initlab.frameworks.torch.reading.record import arguments, refused, returned, tensors

_FORMS: dict[str, Form] = {"embedding": "table", "native_layer_norm": "norm", "_fused_rms_norm": "norm"}


def evaluated(model: object, example: object) -> list[Array]:
    """What a module returns for an example in evaluation mode; the module and all generators stay as they are.

    Raises:
        ShapeError: It does not take the example.
    """
    assert isinstance(model, nn.Module)
    copy = deepcopy(model).eval()
    args, kwargs = arguments(example, copy)
    with torch.random.fork_rng(), torch.no_grad():
        try:
            return [_array(one) for one in returned(copy(*args, **kwargs))]
        except Exception as error:  # the model's own code, on an input that does not fit it
            raise refused(error, example, copy, "example") from error


def tape(model: object, example: object) -> Tape:
    """One pass of a copy in evaluation mode, as the operations of ATen that it is made of.

    Raises:
        UnsupportedError: The pass cannot be written down, as where it branches on values.
    """
    assert isinstance(model, nn.Module)
    copy = deepcopy(model).eval()
    args, kwargs = arguments(example, copy)
    named = [*copy.named_parameters(remove_duplicate=False), *copy.named_buffers(remove_duplicate=False)]
    first: dict[int, str] = {}
    held = {name: tensor.detach() for name, tensor in named if first.setdefault(id(tensor), name) == name}
    given = list(tensors((args, kwargs)))

    def passed(state: Mapping[str, torch.Tensor], inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        left = iter(inputs)
        filled = pytree.tree_map(lambda leaf: next(left) if isinstance(leaf, torch.Tensor) else leaf, (args, kwargs))
        made = functional_call(copy, dict(state), filled[0], filled[1], tie_weights=True)
        return [one.clone() for one in returned(made)]

    with torch.random.fork_rng(), torch.no_grad(), _slow_path():
        try:
            graph = make_fx(functionalize(passed, remove="mutations"))(held, given)
        except Exception as error:  # the model's own code: a branch on a value, an operation that is not known
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UnsupportedError(
                f"PyTorch cannot write the pass down: {said}", where=type(model).__name__, fix="give a plainer forward"
            ) from error
    return _Writer(graph).write(list(held), [*held.values(), *given])


@contextmanager
def _slow_path() -> Iterator[None]:
    """Within it, an encoder layer and attention are the operations that they are made of."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def _array(tensor: torch.Tensor) -> Array:
    bare = tensor.detach().cpu()
    array: Array = (bare.float() if bare.dtype in (torch.bfloat16, torch.float16) else bare).numpy()
    return np.array(array)


class _Writer:
    def __init__(self, graph: fx.GraphModule) -> None:
        self._graph = graph
        self._numbers: dict[fx.Node, tuple[int, ...]] = {}
        self._values: dict[int, Array] = {}
        self._count = 0

    def write(self, names: Sequence[str], given: Sequence[torch.Tensor]) -> Tape:
        """The tape of a graph whose placeholders are these parameters and buffers, and inputs after them."""
        nodes = list(self._graph.graph.nodes)
        places = [node for node in nodes if node.op == "placeholder"]
        for node, tensor in zip(places, given, strict=True):
            self._values[self._new(node)[0]] = _array(tensor)
        order = [self._numbers[node][0] for node in places]
        steps = [step for node in nodes if (step := self._step(node)) is not None]
        ends = next(node for node in nodes if node.op == "output").args[0]
        outputs = tuple(self._numbers[node][0] for node in pytree.tree_leaves(ends) if isinstance(node, fx.Node))
        held = dict(zip(order, names, strict=False))
        return Tape(held, self._values, tuple(order[len(names) :]), tuple(steps), outputs)

    def _new(self, node: fx.Node, count: int = 1) -> tuple[int, ...]:
        self._numbers[node] = tuple(range(self._count, self._count + count))
        self._count += count
        return self._numbers[node]

    def _step(self, node: fx.Node) -> Step | None:
        if node.op == "get_attr":
            self._values[self._new(node)[0]] = _array(getattr(self._graph, str(node.target)))
            return None
        if node.op != "call_function":
            return None
        if node.target is operator.getitem:
            whole, at = node.args
            assert isinstance(whole, fx.Node)
            self._numbers[node] = (self._numbers[whole][operator.index(at)],)  # type: ignore[arg-type]
            return None
        taken = [one for one in pytree.tree_leaves((node.args, node.kwargs)) if isinstance(one, fx.Node)]
        made = node.meta.get("val")
        outputs = self._new(node, len(made) if isinstance(made, list | tuple) else 1)
        name = str(getattr(node.target, "_opname", node.target))
        inputs = tuple(self._numbers[one][0] for one in taken)
        return Step(name, inputs, outputs, _Again(node), _FORMS.get(name, ""))


class _Again:
    """An operation of a graph once more, on arrays."""

    def __init__(self, node: fx.Node) -> None:
        self._node = node

    def __call__(self, given: Sequence[Array]) -> list[Array]:
        left = iter(given)

        def filled(leaf: Any) -> Any:
            return torch.from_numpy(np.array(next(left))) if isinstance(leaf, fx.Node) else leaf

        args, kwargs = pytree.tree_map(filled, (self._node.args, dict(self._node.kwargs)))
        assert callable(self._node.target)
        with torch.no_grad():
            made = self._node.target(*args, **kwargs)
        several = made if isinstance(made, list | tuple) else [made]
        return [
            _array(one) if isinstance(one, torch.Tensor) else np.asarray(0 if one is None else one) for one in several
        ]
