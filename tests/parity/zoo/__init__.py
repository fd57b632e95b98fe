"""The models of the parity table, a file a family."""

from __future__ import annotations

from tests.parity.zoo import chains, images, joints, residual, sequences
from tests.parity.zoo.net import Net

_FAMILIES = {
    "Chains": chains,
    "Residual branches and norms": residual,
    "Values that meet": joints,
    "Convolutions and pooling": images,
    "Tokens and sequences": sequences,
}
NETS: dict[str, Net] = {net.name: net for family in _FAMILIES.values() for net in family.NETS}
FAMILIES: dict[str, list[str]] = {title: [net.name for net in family.NETS] for title, family in _FAMILIES.items()}
