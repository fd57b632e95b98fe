"""A computation of many models written down once, as a graph of torch's own operations, and run again without Python.

``torch.func.vmap`` and autograd cost several times the arithmetic of a small network. What they come down to is the
same list of operations in every step, so it is recorded in the first one. The graph also says which operations there
are: one that is not known to treat models alike and apart is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode  # torch's own way of seeing operations below autograd

from initlab.frameworks.torch.user_training.products import product, product_plus


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ATEN = torch.ops.aten
_REPLACED: dict[object, Callable[..., Tensor]] = {
    _ATEN.bmm.default: product,
    _ATEN.baddbmm.default: product_plus,
}
# Beside those that work number by number, reduce, or only look at the same memory in another way.
_KNOWN = _words(
    "bmm baddbmm convolution convolution_backward native_batch_norm native_batch_norm_backward native_layer_norm"
    " native_layer_norm_backward native_group_norm native_group_norm_backward _softmax _softmax_backward_data"
    " _log_softmax _log_softmax_backward_data max_pool2d_with_indices max_pool2d_with_indices_backward avg_pool2d"
    " avg_pool2d_backward _adaptive_avg_pool2d _adaptive_avg_pool2d_backward constant_pad_nd cat stack gather scatter"
    " scatter_add index_select embedding embedding_dense_backward arange full full_like scalar_tensor zeros zeros_like"
    " ones ones_like new_zeros new_ones new_full new_empty empty_like empty new_empty_strided copy_ clone _to_copy"
    " zero_ fill_ _unsafe_view select_backward slice_backward triu tril cumsum flip elu_backward _prelu_kernel"
    " _prelu_kernel_backward log_sigmoid_forward log_sigmoid_backward hardswish_backward hardtanh_backward"
    " leaky_relu_backward softplus_backward _safe_softmax hardswish hardsigmoid_backward mish_backward glu glu_backward"
)
_SAME = _words("view _unsafe_view expand detach alias transpose permute squeeze slice")


class RefusedError(Exception):
    """Models cannot be computed together; says why, in words."""


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down the operations on tensors below autograd and vmap, as they are called.

    Args:
        inputs: The tensors that the operations may begin with.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = fx.Graph()
        self._nodes = {id(x): self.graph.placeholder(f"input_{i}") for i, x in enumerate(inputs)}
        self._alive: list[object] = list(inputs)  # so that no two tensors have the same id

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        _check(func)
        result = func(*args, **kwargs)
        self._alive += [args, kwargs, result]
        if _is_same(func, args, result):
            self._nodes[id(result)] = self._node(args[0])
            return result
        given = fx.node.map_aggregate((args, kwargs), self._node)
        node = self.graph.call_function(_REPLACED.get(func, func), *given)
        parts = result if isinstance(result, tuple | list) else (result,)
        for i, part in enumerate(parts):
            if isinstance(part, Tensor):
                self._nodes[id(part)] = node if part is result else self.graph.call_function(_part, (node, i))
        return result

    def program(self, outputs: Sequence[Tensor]) -> fx.GraphModule:
        """What was written down, as a function of the inputs that gives the outputs."""
        self.graph.output(tuple(self._node(x) for x in outputs))
        self.graph.eliminate_dead_code()
        return fx.GraphModule(nn.Module(), self.graph)

    def _node(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self._nodes:
            raise RefusedError("it computes with a tensor that is neither a parameter nor a buffer")
        return self._nodes[id(value)]


def _part(parts: Sequence[Tensor], i: int) -> Tensor:
    return parts[i]


def _check(func: Any) -> None:
    name = func.overloadpacket.__name__
    if torch.Tag.nondeterministic_seeded in func.tags:
        raise RefusedError(f"it draws random numbers ({name}) outside of dropout")
    plain = torch.Tag.pointwise in func.tags or torch.Tag.reduction in func.tags or func.is_view
    if not plain and name not in _KNOWN:
        raise RefusedError(f"the operation {name} is not known to keep models apart")


def _is_same(func: Any, args: Any, result: Any) -> bool:
    """Whether an operation that only looks at memory gave what it got."""
    if func.overloadpacket.__name__ not in _SAME:
        return False
    x = args[0]
    return bool(result.shape == x.shape and result.stride() == x.stride() and result.data_ptr() == x.data_ptr())


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the numbers that operations write down."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        parts = result if isinstance(result, tuple | list) else (result,)
        is_view = func.is_view or func is _ATEN._unsafe_view.default
        self.numbers += 0 if is_view else sum(part.numel() for part in parts if isinstance(part, Tensor))
        return result


def recorded(function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The operations of a function, which the result runs again on inputs of the same shapes.

    Args:
        function: Takes the inputs one by one, and calls the same operations whatever their numbers are.
        inputs: Numbers to try it on; those that it changes in place are changed.

    Raises:
        RefusedError: It computes with other tensors, draws random numbers, or needs an operation that is not known.
    """
    recording = Recording(inputs)
    with recording:
        outputs = function(*inputs)
    return recording.program(outputs)
