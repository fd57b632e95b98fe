"""The inverse of the normal distribution function, made of + - * / sqrt and integer operations alone.

No function of a maths library takes part, so every machine gives the same bits. The functions serve NumPy arrays, and
numba compiles the same source for scalars (``initlab.core.draws.kernels``, which chooses the branches its own way).

Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988),
PPND16: the coefficients and the three branches. Polynomials are evaluated in Estrin's order.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
F = TypeVar("F", np.float64, Floats)
B = TypeVar("B", np.int64, NDArray[np.int64])

CENTRAL = 0.425  # |u - 1/2| up to which the first branch holds
FAR = 5.0  # sqrt(-log r) from which the third branch holds
SMALLEST_TAIL = 2.0**-54  # below every tail of an untruncated entry, so it alters a truncated one alone
MANTISSA_BITS = np.int64(52)
BITS_OF_SQRT_HALF = np.int64(0x3FE6A09E667F3BCD)
LN_2_HIGH, LN_2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # their sum is ln 2; 32 bits in the first part


def estrin(x: F, a0: float, a1: float, a2: float, a3: float, a4: float, a5: float, a6: float, a7: float) -> F:
    """The polynomial ``a0 + a1 x + ... + a7 x^7``, by halves, which a processor can work at side by side."""
    x2 = x * x
    low = (a0 + a1 * x) + (a2 + a3 * x) * x2
    high = (a4 + a5 * x) + (a6 + a7 * x) * x2
    return low + high * (x2 * x2)


def central_branch(c: F) -> F:
    """The quantile of ``1/2 + c``, where ``|c| <= 0.425``."""
    r = 0.180625 - c * c
    above = estrin(
        r,
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    )
    below = estrin(
        r,
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    )
    return c * above / below


def near_branch(r: F) -> F:
    """The size of the quantile where the tail is ``exp(-r^2)``, for ``1.6 <= r <= 5``."""
    r = r - 1.6
    above = estrin(
        r,
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    )
    below = estrin(
        r,
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    )
    return above / below


def far_branch(r: F) -> F:
    """The size of the quantile where the tail is ``exp(-r^2)``, for ``r > 5``."""
    r = r - 5.0
    above = estrin(
        r,
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    )
    below = estrin(
        r,
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    )
    return above / below


def split(bits: B) -> tuple[B, B]:
    """Exponent *e* and the bits of m in [sqrt(1/2), sqrt(2)), from the bits of the float ``2^e m`` above 0."""
    exponent = (bits - BITS_OF_SQRT_HALF) >> MANTISSA_BITS
    return exponent, bits - (exponent << MANTISSA_BITS)


def log_of_product(e: F, m: F) -> F:
    """``log(2^e m)``, m in [sqrt(1/2), sqrt(2)): ``e log 2 + 2 artanh((m - 1) / (m + 1))``, by Taylor's series."""
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    z4 = (z * z) * (z * z)
    series = estrin(z, 1.0, 1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13, 1 / 15) + (1 / 17 + 1 / 19 * z) * (z4 * z4)
    return e * LN_2_HIGH + (e * LN_2_LOW + (s + s) * series)


def log(x: Floats) -> Floats:
    """``log(x)`` of normal floats above 0, within 1 unit in the last place where x <= 0.1.

    Example:
        >>> log(np.array([0.25])).tolist() == [-2 * 0.6931471805599453]
        True
    """
    exponent, mantissa = split(x.view(np.int64))
    return log_of_product(exponent.astype(np.float64), mantissa.view(np.float64))


def normal_quantile(c: Floats) -> Floats:
    """The standard normal's quantile of ``1/2 + c``, with a relative error below 1e-15.

    Args:
        c: In [-1/2, 1/2]; the two ends are read as tails of 2^-54.

    Example:
        >>> round(float(normal_quantile(np.array([0.475]))[0]), 9)      # the 97.5 % point
        1.959963985
    """
    value = central_branch(c)
    tail = np.flatnonzero(np.abs(c) > CENTRAL)
    deep = c[tail]
    r = np.sqrt(-log(np.maximum(0.5 - np.abs(deep), SMALLEST_TAIL)))
    size = near_branch(r)
    far = np.flatnonzero(r > FAR)
    size[far] = far_branch(r[far])
    value[tail] = np.where(deep < 0.0, -size, size)
    return value
