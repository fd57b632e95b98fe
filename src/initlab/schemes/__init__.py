"""Every scheme, one module a family; importing this package fills the registry."""

from __future__ import annotations

from initlab.schemes import auto, constant, data_driven, exact_gain, fixed, structured, variance
from initlab.schemes.base import SCHEMES, BoundScheme, Scheme, register_scheme, scheme

FAMILIES = (constant, fixed, variance, structured, exact_gain, data_driven, auto)

__all__ = ["SCHEMES", "BoundScheme", "Scheme", "register_scheme", "scheme"]
