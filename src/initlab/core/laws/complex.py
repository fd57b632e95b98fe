"""Laws of complex weights: E|w|^2 is what a real law says of E w^2, and the two parts are independent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype
from initlab.core.draws.selection import Index, select
from initlab.core.draws.streams import Stream
from initlab.core.errors import ShapeError
from initlab.core.laws.along import Along
from initlab.core.laws.elementwise import Constant, Normal, TruncatedNormal, Uniform
from initlab.core.laws.hadamard import Hadamard
from initlab.core.laws.identity import Dirac, Identity
from initlab.core.laws.orthogonal import Orthogonal
from initlab.core.laws.packed import Blocks
from initlab.core.laws.protocol import Law, Shape
from initlab.core.laws.whole import Floats, matrix

_FIXED = (
    Constant,
    Along,
    Identity,
    Dirac,
    Hadamard,
)  # without chance, and without imaginary part


@dataclass(frozen=True)
class Complex:
    """``(x + i y) / sqrt 2`` of two draws of a real law around zero; of an orthogonal law a unitary one.

    The real part is of the stream of purpose ``weights#real``, the imaginary one of ``weights#imaginary``. A uniform
    law on (-a, a) becomes uniform on the square of half side ``a / sqrt 2``. A unitary matrix is the Q of the QR of a
    complex Gaussian one, its columns turned so that R has a positive diagonal, which is Haar's law.

    Attributes:
        base: The real law.

    Example:
        >>> from initlab.core.draws.streams import stream
        >>> law = Complex(Normal(0.5))
        >>> w = law.draw((200, 300), stream(1, "weight"))
        >>> law.std((200, 300)), bool(abs((abs(w) ** 2).mean() / 0.25 - 1) < 0.02)
        (0.5, True)

    Source: Trabelsi et al. 2018, "Deep complex networks", arXiv:1705.09792, section 3.6, for the variance; Mezzadri
    2007, arXiv:math-ph/0609050, section 5, for the unitary law.
    """

    base: Law
    family: ClassVar[str] = "complex"

    @property
    def elementwise(self) -> bool:
        """As the base law."""
        return self.base.elementwise

    def check(self, shape: Shape) -> None:
        """Any shape that the base law takes."""
        self.base.check(shape)

    def mean(self, shape: Shape) -> float:
        """Zero."""
        return 0.0

    def std(self, shape: Shape) -> float:
        """``sqrt(E|w|^2)``, which is the base law's."""
        return self.base.std(shape)

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Of the real part, and of the imaginary one."""
        low, high = self.base.bounds(shape)
        return (low, high) if isinstance(self.base, Orthogonal) else (low / math.sqrt(2.0), high / math.sqrt(2.0))

    def cdf(self, x: ArrayLike, shape: Shape) -> NDArray[np.float64]:
        """Of the real part, and of the imaginary one."""
        return self.base.cdf(np.asarray(x, np.float64) * math.sqrt(2.0), shape)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """Complex numbers, whose parts are of the given type."""
        kind = np.complex128 if weight_dtype(dtype) == np.float64 else np.complex64
        streams = stream.further("real"), stream.further("imaginary")
        if isinstance(self.base, Orthogonal):
            whole = (_unitary(matrix(shape), streams) * self.base.scale(shape)).reshape(shape)
            drawn: Any = whole if index is None else whole.reshape(-1)[select(shape, index).all_places()]
        else:
            x, y = (self.base.draw(shape, one, index=index) for one in streams)
            drawn = (x + 1j * y) / math.sqrt(2.0)
        picked: NDArray[np.floating] = drawn.astype(kind)  # a law's numbers are real, but here
        return picked

    def __str__(self) -> str:
        return f"complex {self.base}"


def _unitary(sizes: tuple[int, int], streams: tuple[Stream, Stream]) -> NDArray[np.complexfloating]:
    """Orthonormal columns, or orthonormal rows where the matrix is wide."""
    tall = max(sizes), min(sizes)
    x, y = (Normal(1.0).draw(tall, one) for one in streams)
    factors: tuple[NDArray[np.complexfloating], NDArray[np.complexfloating]] = np.linalg.qr(x + 1j * y)
    diagonal = np.diagonal(factors[1])
    q: NDArray[np.complexfloating] = factors[0] * (diagonal / np.abs(diagonal))
    return q if sizes[0] >= sizes[1] else q.T


def complex_law(law: Law) -> Law:
    """The law of a complex weight whose E|w|^2 is that of a real one; a law without chance is itself.

    Raises:
        ShapeError: A law that has no complex form here.

    Example:
        >>> print(complex_law(Normal(0.1)), complex_law(Constant(1.0)))
        complex N(0, 0.1^2) constant 1
    """
    parts = law.parts if isinstance(law, Blocks) else (law,)
    if all(isinstance(part, _FIXED) for part in parts):
        return law
    if isinstance(law, Orthogonal) or all(_is_around_zero(part) for part in parts):
        return Complex(law)
    raise ShapeError(
        f"{law} has no complex form", fix="give a normal, uniform or truncated one around 0, or orthogonal"
    )


def _is_around_zero(law: Law) -> bool:
    if isinstance(law, Normal | TruncatedNormal):
        return law.mu == 0.0
    return isinstance(law, Uniform) and law.low == -law.high


def halves(values: NDArray[np.generic]) -> Floats | NDArray[np.floating]:
    """The real and the imaginary parts along a new first axis; real numbers as they are.

    Example:
        >>> halves(np.array([1 + 2j, 3.0])).tolist()
        [[1.0, 3.0], [2.0, 0.0]]
    """
    return np.stack([values.real, values.imag]) if np.iscomplexobj(values) else values  # type: ignore[return-value]
