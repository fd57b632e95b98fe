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


def scheme_lists(incomplete: str) -> list[str]:
    """Lists of schemes, separated by commas, whose last one begins so; none where its options are being typed.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> scheme_lists("zeros,normal(std=0.01),lecun_")
        ['zeros,normal(std=0.01),lecun_normal', 'zeros,normal(std=0.01),lecun_uniform']
        >>> scheme_lists("normal(std=0.01,me")
        []
    """
    before, comma, last = incomplete.rpartition(",")
    if before.count("(") != before.count(")"):
        return []
    return [f"{before}{comma}{name}" for name in schemes(last)]


def studies(incomplete: str) -> list[str]:
    """Studies and sweeps of ``initlab compare``.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> studies("mn")
        ['mnist', 'mnist-sgd']
    """
    from initlab.study.design import list_studies
    from initlab.study.sweep import list_sweeps

    return _beginning(sorted([*list_studies(), *list_sweeps()]), incomplete)


def activations(incomplete: str) -> list[str]:
    """Activations of ``initlab theory``.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> activations("ge")
        ['gelu', 'gelu_tanh']
    """
    from initlab.theory import ACTIVATIONS

    return _beginning(ACTIVATIONS, incomplete)


def kinds(incomplete: str) -> list[str]:
    """The words behind ``initlab list``.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> kinds("st"), kinds("che")
        (['studies'], ['checks'])
    """
    from initlab.cli.kinds import KINDS

    return _beginning(KINDS, incomplete)


def everything(incomplete: str) -> list[str]:
    """Names of ``initlab show``: schemes, where none begins so their other names, and then those of all other kinds.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> everything("he_"), everything("dead"), everything("xavier_n")
        (['he_normal', 'he_uniform'], ['dead-units'], ['xavier_normal', 'xavier_normal_'])
    """
    from initlab.cli.kinds import KINDS, names

    others = names([kind for kind in KINDS if kind != "schemes"])
    return list(dict.fromkeys([*schemes(incomplete), *_beginning(others, incomplete)]))


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


def papers(incomplete: str) -> list[str]:
    """Rows of ``initlab paper``.

    Args:
        incomplete: What is typed so far.

    Example:
        >>> papers("schoen")
        ['schoenholz2017-tanh-edge']
    """
    from initlab.papers import PAPERS

    return _beginning(PAPERS, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
