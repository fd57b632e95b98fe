"""Seeds for calls that give none, and seeds as generators of limited width take them."""

from __future__ import annotations

from hashlib import blake2b

from initlab.core.errors import OptionError

# A seed of 48 bits is a whole number to every reader of JSON.
_BYTES = 6


def seed_of_draw(bits: int) -> int:
    """The seed that one draw of a framework's own generator makes: a whole number below 2^48.

    Nothing is remembered: a generator that is set again gives the same seeds again.

    Args:
        bits: The draw, of 64 bits, from 0.

    Example:
        >>> seed_of_draw(1) == seed_of_draw(1), seed_of_draw(1) == seed_of_draw(2)
        (True, False)
    """
    return int.from_bytes(blake2b(bits.to_bytes(8, "little"), digest_size=_BYTES).digest(), "little")


def narrowed(seed: int, bits: int) -> int:
    """A seed of any size as a generator of seeds of so many bits takes it: itself where it fits, else hashed.

    Args:
        seed: 0 or more.
        bits: The generator's width, a multiple of 8.

    Example:
        >>> narrowed(2**32 - 1, 32), narrowed(2**32, 32) in (0, 2**32)
        (4294967295, False)
    """
    if seed < 1 << bits:
        return seed
    raw = seed.to_bytes((seed.bit_length() + 7) // 8, "little")
    return int.from_bytes(blake2b(raw, digest_size=bits // 8).digest(), "little")


def check_alone(processes: int) -> None:
    """Nothing, where one process alone draws; several would draw other seeds, or fall out of step.

    Args:
        processes: How many are in the process group, 1 or more.

    Raises:
        OptionError: There are more than one.
    """
    if processes > 1:
        raise OptionError(
            f"{processes} processes of a group would each draw a seed of their own",
            where="seed",
            fix="give every process the same, e.g. seed=0",
        )
