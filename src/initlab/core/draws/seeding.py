"""Seeds for calls that give none: told by the framework's own generator, which stays as it was."""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock

# A seed of 48 bits is a whole number to every reader of JSON.
_BYTES = 6

_seen: dict[str, tuple[bytes, int]] = {}
_lock = Lock()


def derived_seed(state: bytes, call: int) -> int:
    """The seed that a generator's state and the number of a call make: a whole number below 2^48.

    Args:
        state: The generator's state, or the text of its seed.
        call: How many calls found this state before, 0 or more.

    Example:
        >>> derived_seed(b"state", 0) == derived_seed(b"state", 0)
        True
        >>> derived_seed(b"state", 0) == derived_seed(b"state", 1)
        False
    """
    digest = blake2b(digest_size=_BYTES)
    for field in (state, str(call).encode()):
        digest.update(len(field).to_bytes(8, "little") + field)
    return int.from_bytes(digest.digest(), "little")


def next_seed(framework: str, state: bytes) -> int:
    """A seed that differs from call to call while a generator's state stays, and starts anew when it has moved.

    So two models initialised in a row differ, and the same program gives the same models after the same
    ``manual_seed``. A generator that was seeded again with the state it is still in cannot be told from one that was
    left alone: the count goes on.

    Args:
        framework: Whose generator it is.
        state: The generator's state.

    Returns:
        A whole number below 2^48.

    Example:
        >>> first, second = next_seed("doctest", b"a"), next_seed("doctest", b"a")
        >>> first == second, next_seed("doctest", b"b") == first, next_seed("doctest", b"a") == first
        (False, False, True)
    """
    key = blake2b(state, digest_size=16).digest()
    with _lock:
        last, count = _seen.get(framework, (b"", 0))
        call = count + 1 if last == key else 0
        _seen[framework] = (key, call)
    return derived_seed(state, call)
