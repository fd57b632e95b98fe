"""Laws of weights: frozen records that know their moments, bounds, distribution function and how to be drawn."""

from initlab.core.laws.along import Along
from initlab.core.laws.calibrated import Calibrated
from initlab.core.laws.complex import Complex
from initlab.core.laws.elementwise import Constant, Normal, TruncatedNormal, Uniform
from initlab.core.laws.hadamard import Hadamard
from initlab.core.laws.identity import Dirac, Identity
from initlab.core.laws.low_rank import LowRank
from initlab.core.laws.orthogonal import DeltaOrthogonal, Orthogonal
from initlab.core.laws.packed import Arranged, Blocks
from initlab.core.laws.protocol import Law, Shape
from initlab.core.laws.sparse import Sparse
from initlab.core.laws.warped import Warped

__all__ = [
    "Along",
    "Arranged",
    "Blocks",
    "Calibrated",
    "Complex",
    "Constant",
    "DeltaOrthogonal",
    "Dirac",
    "Hadamard",
    "Identity",
    "Law",
    "LowRank",
    "Normal",
    "Orthogonal",
    "Shape",
    "Sparse",
    "TruncatedNormal",
    "Uniform",
    "Warped",
]
