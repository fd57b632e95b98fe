"""Models for commands: a function of the user's, named ``package.module:function``."""

from __future__ import annotations

import sys
from pathlib import Path

from initlab.core.errors import InitlabError, OptionError
from initlab.core.factories import named


def built_model(factory: str) -> tuple[object, object]:
    """The model that a factory returns, and the example that it gives with it, or None.

    Modules are looked for in the working folder too.

    Args:
        factory: ``package.module:function``; the function takes no arguments and returns a model, or a tuple of the
            model and an example input. A model that stands in the module itself is taken as it is.

    Raises:
        OptionError: A module or function that is not there, or one that returns nothing.
        InitlabError: The module or the function raised.
    """
    found = named_here(factory)
    made = _called(found, factory) if callable(found) and not _is_model(found) else found
    if made is None:
        raise OptionError(f"'{factory}' returned None", fix="return the model")
    model, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    return model, example


def named_here(factory: str) -> object:
    """What stands under ``package.module:name``, the working folder's modules included, for workers too.

    Raises:
        OptionError: A module or name that is not there.
        InitlabError: The module raised.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return named(factory)


def _called(build: object, factory: str) -> object:
    assert callable(build)
    try:
        return build()
    except InitlabError:
        raise
    except Exception as error:
        raise InitlabError(
            f"'{factory}' raised {type(error).__name__}: {error}", fix="it is called without arguments"
        ) from error


def _is_model(found: object) -> bool:
    """Whether a callable is a model itself: frameworks make their models callable."""
    from initlab.frameworks import framework_of

    return not isinstance(found, type) and framework_of(found) is not None
