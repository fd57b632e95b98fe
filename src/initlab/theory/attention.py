"""Self-attention at initialization: its logits, how sharp its softmax is, and how fast it makes all tokens alike.

Tokens behind a layer norm, queries and keys from independent normal weights: the logits ``q_i . k_j / sqrt(d)`` of one
row are close to independent ``N(0, s^2)`` in a wide model. Rank collapse: Dong, Cordonnier & Loukas, arXiv 2103.03404;
its cure by a scaled branch: Noci et al., arXiv 2206.03126.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import log

from initlab.core.errors import OptionError
from initlab.theory.gains import check_variance
from initlab.theory.softmax import check_terms, softmax_entropy, softmax_square_sum


@dataclass(frozen=True)
class AttentionSharpness:
    """The expected softmax of one row.

    Attributes:
        square_sum: ``E sum_j a_j^2``: ``1 / T`` for equal attention, 1 for attention to one token.
        entropy: ``E H(a)`` in nats.
        floor: The entropy of attention to one token, 0.
        ceiling: That of equal attention, ``ln T``.
    """

    square_sum: float
    entropy: float
    floor: float
    ceiling: float


def attention_logit_variance(
    *, query_variance: float = 1.0, key_variance: float = 1.0, head_width: int = 1, scale: float | None = None
) -> float:
    """``s^2 = sigma_q^2 sigma_k^2 d * scale^2``: the variance of a logit ``scale * q . k``.

    Args:
        query_variance: ``sigma_q^2``, the variance of an entry of a query: ``fan_in`` times that of a weight, behind a
            layer norm.
        key_variance: ``sigma_k^2``, that of a key's.
        head_width: ``d``, the entries of a query.
        scale: The factor of the dot product; without one ``1 / sqrt(d)``, which takes ``d`` out.

    Returns:
        The variance.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> attention_logit_variance(), attention_logit_variance(head_width=64, scale=1.0)
        (1.0, 64.0)
    """
    own = check_variance(query_variance, "query_variance") * check_variance(key_variance, "key_variance")
    check_terms(head_width)
    return own if scale is None else own * head_width * scale**2


def attention_sharpness(tokens: int, logit_variance: float) -> AttentionSharpness:
    """How sharp one row of attention over ``T`` tokens is: its sum of squares and its entropy, between their bounds.

    Both are exact for independent normal logits, by quadrature; ``exp(s^2) / T`` and ``ln T - s^2 / 2`` are their
    limits for ``exp(s^2)`` far below ``T``. A causal row ``t`` has ``T = t``.

    Args:
        tokens: ``T``, the tokens that the row attends to, 1 or more.
        logit_variance: ``s^2``, 0 or more.

    Returns:
        The record.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> even = attention_sharpness(4, 0.0)
        >>> even.square_sum, even.entropy == even.ceiling
        (0.25, True)
    """
    entropy = min(softmax_entropy(tokens, logit_variance), log(tokens))
    return AttentionSharpness(softmax_square_sum(tokens, logit_variance), entropy, 0.0, log(tokens))


def token_cosines(
    tokens: int,
    *,
    logit_variance: float,
    correlation: float = 0.0,
    branch_scale: float | None = None,
    width: int | None = None,
) -> Iterator[float]:
    """The mean cosine of two tokens behind 0, 1, 2, ... layers of attention, each behind a layer norm.

    Two outputs share ``c + (1 - c) / T`` of their variance ``c + (1 - c) E sum a^2``; what tokens of cosine ``c`` have
    in common is not seen by the softmax, so its logits have the variance ``s^2 (1 - c)``. With a branch of scale
    ``alpha`` on a skip path, both are added to the stream's ``c`` and 1 by the factor ``alpha^2``.

    A token of ``d`` entries is pulled towards its own query: the softmax tilts the mean of what it reads by a vector of
    squared length ``s^2 (1 - c)``, a share ``s^2 (1 - c) / d`` of a token's, which is added to ``E sum a^2``; queries
    of cosine ``c`` share ``c`` of it. Without a width it is left out, which holds for ``d`` far above
    ``T s^2 exp(-s^2)``: 512 tokens of width 128 at ``s^2 = 1`` have a cosine of 0.14 to 0.17 behind one layer, 0.150
    with the width and 0.373 without.

    The rows of attention are taken as independent: simulated nets of width ``d >= T`` have ``1 - c`` within a factor of
    about 2 where ``s^2`` is at most about 1. For sharp attention the mean of nets is no guide: rows that pick the same
    token are equal at once, and at ``T = 8``, ``s^2 = 16`` behind 6 layers the mean of ``1 - c`` over nets is 6.6e-4
    and its median 0, where this formula gives 3e-3.

    Args:
        tokens: ``T``, 1 or more.
        logit_variance: ``s^2``, of tokens that have nothing in common.
        correlation: The cosine of two tokens before the first layer, from 0 to 1.
        branch_scale: ``alpha``; without one there is no skip path.
        width: ``d``, the entries of a token and of a query, 1 or more; without one far above the number of tokens.

    Yields:
        The cosines, without end.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> from itertools import islice
        >>> [round(c, 3) for c in islice(token_cosines(10**6, logit_variance=1.0), 2)]      # 0, then exp(-s^2)
        [0.0, 0.368]
        >>> round([*islice(token_cosines(512, logit_variance=1.0, width=128), 2)][1], 2)
        0.15
    """
    check_terms(tokens)
    s2, c = check_variance(logit_variance, "logit_variance"), float(correlation)
    if not 0.0 <= c <= 1.0:
        raise OptionError(f"a cosine of {correlation!r}", fix="give one from 0 to 1")
    if width is not None and (isinstance(width, bool) or width < 1):
        raise OptionError(f"a width of {width!r}", fix="give 1 or more")
    return _cosines(tokens, s2, c, branch_scale, 0.0 if width is None else s2 / width)


def rank_collapse_depth(
    tokens: int,
    *,
    logit_variance: float,
    correlation: float = 0.0,
    branch_scale: float | None = None,
    separation: float = 1e-3,
    most: int = 1000,
    width: int | None = None,
) -> int | None:
    """The layers of attention after which ``1 - cosine`` of two tokens is below ``separation``: 2 without a skip path.

    It holds where ``token_cosines`` does: for ``s^2`` up to about 1 and widths of ``T`` or more; sharper attention
    collapses sooner in most nets.

    Args:
        tokens: ``T``, 1 or more.
        logit_variance: ``s^2``, of tokens that have nothing in common.
        correlation: The cosine of two tokens before the first layer, from 0 to 1.
        branch_scale: ``alpha``; without one there is no skip path.
        separation: What counts as collapsed.
        most: Layers to look at.
        width: ``d``, the entries of a token, as ``token_cosines`` takes it.

    Returns:
        The depth, or None where it is above ``most``.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> rank_collapse_depth(1024, logit_variance=0.01), rank_collapse_depth(64, logit_variance=1.0)
        (2, 3)
    """
    cosines = token_cosines(
        tokens, logit_variance=logit_variance, correlation=correlation, branch_scale=branch_scale, width=width
    )
    below = (depth for depth, c in enumerate(islice(cosines, most + 1)) if 1.0 - c < separation)
    return next(below, None)


def _cosines(tokens: int, s2: float, c: float, branch_scale: float | None, pull: float) -> Iterator[float]:
    while True:
        yield c
        tilt = pull * (1.0 - c)
        shared = c + (1.0 - c) * (1.0 / tokens + c * tilt)
        whole = c + (1.0 - c) * (softmax_square_sum(tokens, s2 * (1.0 - c)) + tilt)
        if branch_scale is not None:
            shared, whole = c + branch_scale**2 * shared, 1.0 + branch_scale**2 * whole
        c = min(shared / whole, 1.0)
