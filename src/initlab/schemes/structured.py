"""Matrices with a structure: orthogonal, identity, and their convolutional relatives; sparse rows."""

from __future__ import annotations

from typing import Literal

from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import (
    Arranged,
    Blocks,
    Constant,
    DeltaOrthogonal,
    Dirac,
    Hadamard,
    Identity,
    Law,
    Orthogonal,
    Sparse,
)
from initlab.schemes.base import register_scheme


@register_scheme(
    family="structured",
    formula="W = gain Q, Q Haar-distributed with orthonormal rows or columns, kernels flattened to (out, in n)",
    source="Saxe, McClelland & Ganguli 2014, arXiv:1312.6120; drawn as in Stewart 1980, SIAM J. Numer. Anal. 17(3)",
    when="deep linear and tanh nets, recurrent weights, policy networks; it keeps all singular values equal",
    avoid="widening layers, unless widen=true: a plain rectangle loses the share in / out of the signal's power",
    aliases=("orthogonal_", "OrthogonalInitializer"),
)
def orthogonal(p: ParamSpec, *, gain: float = 1.0, widen: bool = False) -> Law:
    """Haar orthogonal times ``gain``: every singular value is ``gain``; entry std ``gain / sqrt(max(out, in n))``.

    Each group of a grouped convolution and each slice of a stacked kernel is orthogonal by itself.

    Args:
        p: A weight of rank 2 or more.
        gain: Every singular value.
        widen: Multiply by ``max(1, sqrt(out / in))``, so that a widening layer keeps the signal too.

    Example:
        >>> orthogonal(ParamSpec(shape=(25, 100)), gain=2.0).std((25, 100))      # 2 / sqrt(100)
        0.2
    """
    return per_group(p, Orthogonal(gain, widen))


def per_group(p: ParamSpec, law: Law) -> Law:
    """The law for each group of a grouped weight, each slice of an einsum kernel, else the law itself."""
    if p.axes is not None:
        return Arranged(law, p.axes)
    if p.groups > 1:
        return Blocks((law,) * p.groups, (p.shape[0] // p.groups,) * p.groups)
    return law


@register_scheme(
    family="structured",
    formula="W[centre] = gain Q, Q as in orthogonal; all other taps 0",
    source="Xiao, Bahri, Sohl-Dickstein, Schoenholz & Pennington 2018, arXiv:1806.05393, algorithm 1",
    when="very deep convolutional nets without normalisation, stride 1, odd kernels",
    avoid="strided or transposed convolutions, even kernels",
    aliases=("DeltaOrthogonal",),
)
def delta_orthogonal(p: ParamSpec, *, gain: float = 1.0) -> Law:
    """Haar orthogonal at the centre tap and zero elsewhere: a convolution that keeps the norm of its input.

    Args:
        p: A convolution's weight with odd kernel sizes.
        gain: Every singular value of the centre tap.

    Example:
        >>> law = delta_orthogonal(ParamSpec(shape=(4, 4, 3), role="conv"))
        >>> round(1 / law.std((4, 4, 3)) ** 2, 12)      # 4 inputs x 3 taps
        12.0
    """
    return per_group(p, DeltaOrthogonal(gain))


@register_scheme(
    family="structured",
    formula="W[i, i] = gain, else 0",
    source="Le, Jaitly & Hinton 2015, arXiv:1504.00941; Hardt & Ma 2017, arXiv:1611.04231",
    when="recurrent weights with ReLU, square layers of a residual net",
    avoid="widening layers: the added units start at zero and stay alike; convolutions (use dirac)",
    aliases=("eye", "eye_", "IdentityInitializer"),
)
def identity(p: ParamSpec, *, gain: float = 1.0) -> Law:
    """The rectangular identity times ``gain``: the layer passes its first inputs on.

    Args:
        p: A weight of rank 2.
        gain: The number on the diagonal.

    Raises:
        ShapeError: The rank is not 2.

    Example:
        >>> identity(ParamSpec(shape=(2, 4))).mean((2, 4))      # 2 ones among 8
        0.25
    """
    return per_group(p, Identity(gain))


@register_scheme(
    family="structured",
    formula="W[i, i, centre] = gain within each group, else 0",
    source="Zagoruyko & Komodakis 2017, arXiv:1706.00388",
    when="convolutions that shall start as the identity",
    avoid="dense layers (use identity); nets that need their extra channels from the start",
    aliases=("dirac_",),
)
def dirac(p: ParamSpec, *, gain: float = 1.0) -> Law:
    """The identity as a convolution: the centre tap passes channel ``i`` to channel ``i``, group by group.

    Args:
        p: A convolution's weight, rank 3 to 5.
        gain: The number at the centre.

    Raises:
        ShapeError: The rank is below 3.

    Example:
        >>> dirac(ParamSpec(shape=(2, 2, 3), role="conv")).mean((2, 2, 3))      # 2 ones among 12
        0.16666666666666666
    """
    return Dirac(gain, p.groups)


@register_scheme(
    family="structured",
    formula="out <= in: W = I; out > in: W = 2^(-m/2) H, H the leading block of Hadamard's matrix of order 2^m",
    source="Zhao, Schäfer & Anandkumar 2021, arXiv:2110.12661, algorithms 1 and 2",
    when="nets that shall start without chance: every seed gives the same weights, of full rank min(out, in)",
    avoid="an ensemble, whose members would be one net; layers wider than their input are plain copies of it",
)
def zero_hadamard(p: ParamSpec, *, gain: float = 1.0) -> Law:
    """Identity, or Hadamard's where a layer widens, and zeros at the end of a residual branch: ZerO, without chance.

    The rank is ``min(out, in)`` in each group and slice, at the centre tap of a convolution, and the seed has no
    effect. A residual branch ends in zeros where its last weight goes into the sum with no activation or norm layer
    between: there the branch learns, since its weight's gradient is not zero; behind an activation it might not.

    Args:
        p: A weight of rank 2 or more.
        gain: A factor of both matrices.

    Example:
        >>> zero_hadamard(ParamSpec(shape=(2, 4))).mean((2, 4))      # 2 ones among 8
        0.25
        >>> zero_hadamard(ParamSpec(shape=(3, 2))).bounds((3, 2))      # 1 / sqrt(4)
        (-0.5, 0.5)
    """
    if p.branch is not None and p.branch.is_last and p.branch.f_end is None and not p.branch.is_normed:
        return Constant(0.0)
    shape = p.shape if p.axes is None else Arranged(Identity(), p.axes).matrix(p.shape)
    if len(shape) >= 2 and shape[0] // p.groups > shape[1]:
        return per_group(p, Hadamard(gain))
    if len(shape) > 2:
        return Dirac(gain, p.groups)
    return per_group(p, Identity(gain))


@register_scheme(
    family="structured",
    formula="ceil(sparsity n) zeros among the n inputs of a unit, the rest N(0, std^2)",
    source="Martens 2010, ICML, section 5: 15 incoming weights a unit",
    when="wide saturating nets, where few inputs a unit keep its sum small",
    avoid="convolutions, whose units have few inputs already",
    aliases=("sparse_",),
    named=("sparsity", "std"),
    dialect_defaults={"torch": {"per": "column"}},
)
def sparse(
    p: ParamSpec, *, sparsity: float = 0.9, std: float = 0.01, per: Literal["unit", "column"] = "unit"
) -> Sparse:
    """Exactly ``ceil(sparsity n)`` of a unit's ``n`` inputs are zero, the rest normal.

    Args:
        p: A weight.
        sparsity: Share of zeros, in [0, 1).
        std: Standard deviation of the entries that are not zero.
        per: ``unit``: zeros are counted in each unit's inputs, as Martens does; ``column``: in each input's outputs, as
            PyTorch's ``sparse_`` does.

    Example:
        >>> sparse(ParamSpec(shape=(8, 100)), sparsity=0.75, std=1.0).std((8, 100)) ** 2      # a quarter is left
        0.25
    """
    return Sparse(sparsity, std, per)
