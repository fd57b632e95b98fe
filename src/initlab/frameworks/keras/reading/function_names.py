"""The names of Keras' layers, operations and operators, spelled one way, and what kind of function each one is."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALIASES = {
    **dict.fromkeys(("radd", "iadd"), "add"),
    **dict.fromkeys(("subtract", "isub"), "sub"),
    **dict.fromkeys(("multiply", "rmul", "imul"), "mul"),
    **dict.fromkeys(("divide", "truedivide", "truediv", "itruediv"), "div"),
    **dict.fromkeys(("power", "rpow"), "pow"),
    "moments": "var",
}
IDENTITY = _words("identity converttotensor cast stopgradient copy array activityregularization positive")
ELEMENTWISE = _words(
    "add sub rsub mul div rtruediv pow negative neg abs absolute fabs sign sqrt rsqrt square reciprocal exp exp2"
    " expm1 log log1p log2 log10 sin cos tan tanh arcsin arccos arctan sinh cosh arcsinh arccosh arctanh erf erfc"
    " erfinv sigmoid logit relu relu6 leakyrelu elu selu celu gelu silu swish mish softplus softsign tanhshrink"
    " hardtanh hardsigmoid hardswish hardsilu hardshrink softshrink logsigmoid threshold squareplus sparseplus"
    " sparsesigmoid clip maximum minimum fmax fmin where greater greaterequal less lessequal equal notequal logicaland"
    " logicalor logicalnot heaviside floor ceil round trunc nantonum sinc mod floordivide logaddexp cbrt dividenonan"
)
MOVES = _words(
    "flatten reshape permute repeatvector transpose expanddims squeeze getitem swapaxes moveaxis broadcastto tile"
    " repeat take takealongaxis flip roll split unstack slice ravel masking depthtospace spacetodepth arraysplit"
    " atleast2d pad resize rescaling sort diagonal tril triu reversesequence topk"
)
_MOVE_BEGINNINGS = ("cropping", "zeropadding", "upsampling", "random")
NOISE = _words("dropout alphadropout gaussiandropout gaussiannoise spatialdropout1d spatialdropout2d spatialdropout3d")
_POOL_BEGINNINGS = ("globalaverage", "globalmax", "averagepool", "maxpool", "adaptiveaverage", "adaptivemax")
POOLS = _words("mean average max amax min amin")
REDUCTIONS = _words("sum prod var std norm logsumexp median quantile cumsum cumprod")
JOINS = _words("concatenate stack append hstack vstack dstack")
NORMS = _words(
    "batchnormalization layernormalization groupnormalization rmsnormalization unitnormalization normalization"
    " layernorm rmsnorm batchnorm normalize"
)
CONVOLUTIONS = _words("conv depthwiseconv separableconv convtranspose")
ATTENTIONS = _words("attention additiveattention")
PRODUCTS = _words("matmul rmatmul dot tensordot einsum inner")


@lru_cache(maxsize=4096)
def name_of(name: str) -> str:
    """One name for a layer's class, an operation's class, its function and its operator.

    Example:
        >>> [name_of(name) for name in ("LeakyReLU", "leaky_relu", "__rmul__", "Multiply", "TrueDivide")]
        ['leakyrelu', 'leakyrelu', 'mul', 'mul', 'div']
    """
    bare = name.strip("_").replace("_", "").lower()
    return _ALIASES.get(bare, bare)


def library_kind(layer: object) -> type | None:
    """The first of Keras' own kinds that a layer is, or is made from; None for a layer somebody wrote.

    Example:
        >>> class Mine(keras.layers.ReLU): ...
        >>> library_kind(Mine()).__name__, library_kind(keras.Sequential())
        ('ReLU', None)
    """
    plain = (keras.layers.Layer, keras.layers.Wrapper)
    kinds = (kind for kind in type(layer).__mro__ if kind not in plain)
    return next((kind for kind in kinds if kind.__module__.startswith("keras.src.layers.")), None)


def name_of_function(function: Callable[..., Any]) -> str:
    """The name of a function of Keras' own; empty for any other, whose name says nothing."""
    is_keras = str(getattr(function, "__module__", "")).startswith("keras.")
    return name_of(str(getattr(function, "__name__", ""))) if is_keras else ""


def is_pool(name: str) -> bool:
    """Whether a layer or a function takes means or maxima."""
    return name in POOLS or name.startswith(_POOL_BEGINNINGS)


def is_move(name: str) -> bool:
    """Whether a layer or a function moves entries about, averages or drops them."""
    return name in MOVES | NOISE | REDUCTIONS or is_pool(name) or name.startswith(_MOVE_BEGINNINGS)
