"""Functions of the user's own by name, ``package.module:function``: found, and named again for another process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import PathFinder

from initlab.core.errors import InitlabError, OptionError

FORM = "write it like package.module:build"


def named(dotted: str) -> object:
    """What stands under a dotted name.

    Args:
        dotted: ``package.module:name``; the name may have dots.

    Raises:
        OptionError: Not of this form, or a module or name that is not there.
        InitlabError: The module raised.

    Example:
        >>> named("math:sqrt")(4.0)
        2.0
    """
    module_name, _, name = dotted.partition(":")
    if not module_name or not name:
        raise OptionError(f"'{dotted}' names no function", fix=FORM)
    found = _module(module_name, dotted)
    for part in name.split("."):
        if not hasattr(found, part):
            raise OptionError(f"the module has no '{name}'", where=dotted, fix=FORM)
        found = getattr(found, part)
    return found


def parts_of(made: object) -> tuple[object, object, object]:
    """The model that a factory made, with the example and the targets that it gave with it; None for none.

    Args:
        made: A model, or a tuple of a model, an example input and, if wanted, targets.

    Example:
        >>> parts_of("model"), parts_of(("model", "example"))
        (('model', None, None), ('model', 'example', None))
    """
    parts = made if isinstance(made, tuple) and len(made) in (2, 3) else (made,)
    model, example, targets = (*parts, None, None)[:3]
    return model, example, targets


def dotted_name(build: Callable[..., object]) -> str | None:
    """The name under which another process with this one's import path finds the function; None if it cannot.

    Functions of a script, of a notebook or inside another function, and lambdas, have no such name.

    Example:
        >>> dotted_name(dotted_name), dotted_name(lambda: 0) is None
        ('initlab.core.factories:dotted_name', True)
    """
    module_name, name = getattr(build, "__module__", None), getattr(build, "__qualname__", None)
    if not isinstance(module_name, str) or not isinstance(name, str) or "<" in name:
        return None
    module = sys.modules.get(module_name)
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not build or module is None or module_name == "__main__":
        return None
    top = sys.modules.get(module_name.partition(".")[0])
    spec = PathFinder.find_spec(module_name.partition(".")[0])
    if spec is None or top is None or spec.origin != getattr(top, "__file__", None):
        return None
    return f"{module_name}:{name}"


def _module(name: str, dotted: str) -> object:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise OptionError(f"there is no module '{error.name}'", where=dotted, fix=FORM) from error
        raise InitlabError(f"importing '{name}' failed: {error}", where=dotted) from error
    except Exception as error:
        raise InitlabError(f"importing '{name}' failed: {type(error).__name__}: {error}", where=dotted) from error
