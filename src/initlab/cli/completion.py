"""What a shell offers for a word that names something: asked for only when the Tab key is pressed."""

from __future__ import annotations

from collections.abc import Iterable


def schemes(incomplete: str) -> list[str]:
    """Schemes that begin so; where none does, their other names.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> schemes("he_"), schemes("xavier_n")
        (['he_normal', 'he_uniform'], ['xavier_normal', 'xavier_normal_'])
    """
    from initlab.schemes import SCHEMES

    aliases = (alias for name in SCHEMES for alias in SCHEMES[name].aliases)
    return _beginning(SCHEMES, incomplete) or _beginning(aliases, incomplete)


def topics(incomplete: str) -> list[str]:
    """Topics of ``initlab explain``.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> topics("vani")
        ['vanishing-gradients']
    """
    from initlab.lessons import LESSONS

    return _beginning(LESSONS, incomplete)


def lists(incomplete: str) -> list[str]:
    """What ``initlab list`` lists.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> lists("s")
        ['schemes', 'studies']
    """
    from initlab.cli.listing import LISTS

    return _beginning(LISTS, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
