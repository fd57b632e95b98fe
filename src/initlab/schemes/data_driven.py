"""Starts that look at a batch: the law of a weight is known but for a factor, which data decide."""

from __future__ import annotations

from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Calibrated, Law
from initlab.schemes.base import register_scheme, scheme


@register_scheme(
    family="data-driven",
    formula="W = c Q, Q as base draws it, and c such that the layer's output on a batch has the std asked for",
    source="Mishkin & Matas 2016, arXiv:1511.06422, algorithm 1, as in github.com/ducha-aiki/LSUV-pytorch",
    when="nets for which theory has no gain, as odd activations and gates; a batch that is like the data is at hand",
    avoid="before a norm layer, which undoes the scale; where no data are at hand; layers that share one weight",
    takes_packed=True,
)
def lsuv(p: ParamSpec, *, base: str = "orthogonal", std: float = 1.0, tolerance: float = 0.01, steps: int = 10) -> Law:
    """Layer-sequential unit variance: a base law times the factor by which the layer's output on a batch has std 1.

    The layers are gone through in the order of the forward pass. Each is divided by the std of its output, over all
    entries of the batch and with ``n - 1`` in the denominator, until this is within the tolerance. A weight that is
    used several times is scaled by its first use; one whose output the pass does not show is refused.

    Args:
        p: A weight of rank 2 or more; packed blocks get one factor together.
        base: The scheme that draws the weight before it is scaled.
        std: The std that each output is to have.
        tolerance: By which share of it an output may differ.
        steps: Corrections of one layer at most.

    Raises:
        OptionError: A base that is data-driven itself.

    Example:
        >>> law = lsuv(ParamSpec(shape=(25, 100)))
        >>> print(law, round(law.scaled(3.0).std((25, 100)), 12))      # 3 / sqrt(100)
        orthogonal, gain 1, scaled by data 0.3
    """
    law = scheme(base)(p)
    if isinstance(law, Calibrated):
        raise OptionError(f"base={base} is data-driven itself", where="lsuv", fix="give the law before it is scaled")
    return Calibrated(law, std, tolerance, steps)
