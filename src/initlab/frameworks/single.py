"""A weight that comes without its model: only its shape tells what it is."""

from __future__ import annotations

from initlab.core.facts.spec import Role


def role_by_rank(rank: int) -> Role:
    """The commonest role of a tensor of so many axes: a bias, a dense layer's weight, or a convolution's kernel.

    Args:
        rank: Number of axes, 0 or more.

    Example:
        >>> [role_by_rank(rank) for rank in (1, 2, 4)]
        ['bias', 'dense', 'conv']
    """
    return "bias" if rank < 2 else "dense" if rank == 2 else "conv"
