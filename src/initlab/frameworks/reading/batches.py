"""What is refused of a batch, in the same words for every framework."""

from __future__ import annotations

from initlab.core.errors import DataError, ShapeError


def check_finite(broken: int) -> None:
    """Raises DataError for a batch in which so many numbers are NaN or infinite.

    Example:
        >>> check_finite(0)
        >>> check_finite(1)
        Traceback (most recent call last):
        initlab.core.errors.DataError: the batch holds 1 number that is NaN or infinite (batch): leave it out
    """
    if broken:
        said, them = ("number that is", "it") if broken == 1 else ("numbers that are", "them")
        raise DataError(f"the batch holds {broken} {said} NaN or infinite", where="batch", fix=f"leave {them} out")


def one_value_a_channel() -> ShapeError:
    """The error of a batch norm in training that is given one value a channel, which has no variance."""
    what = "a batch norm in training needs more than one value a channel"
    return ShapeError(what, where="batch", fix="give two samples or more")
