"""Models for commands: a function or class of the user's, named by its module or its file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from initlab.core.draws.streams import check_seed
from initlab.core.errors import OptionError
from initlab.core.factories import named, parts_of
from initlab.core.factory_files import dotted_of_file


def built_model(factory: str, weights: Path | None = None) -> tuple[object, object]:
    """The model that a factory returns, and the example that it gives with it, or None.

    Modules are looked for in the working folder too.

    Args:
        factory: ``package.module:function`` or ``path/file.py:function``; the function takes no arguments, or those
            written behind it as in ``train.py:Net(64, 10)``, and returns a model, or a tuple of the model, an example
            input and, if wanted, targets. A model that stands in the module itself is taken as it is. Or a file that
            holds a model, ``model.keras``.
        weights: A safetensors file, whose arrays are put into the model.

    Raises:
        OptionError: A module or function that is not there, or one that returns nothing.
        InitlabError: The module or the function raised.
    """
    model, example, _ = built_parts(factory, weights)
    return model, example


def built_parts(factory: str, weights: Path | None = None) -> tuple[object, object, object]:
    """The model that a factory returns, with the example and the targets that it gives with it; None for none.

    Its construction is watched, so that who chose a value is known to what is asked of the model afterwards.

    Args:
        factory: As for ``built_model``.
        weights: As for ``built_model``.

    Raises:
        OptionError: A module or function that is not there, or one that returns nothing.
        DataError: Weights that are not those of the model, all of them.
        InitlabError: The module or the function raised.
    """
    parts = _parts(factory)
    if weights is not None:
        from initlab.api.planning import filled
        from initlab.cli.weights import read_weights

        given = filled(parts[0], read_weights(weights, option="--weights"), weights.name, option="--weights")
        if given.buffers:
            told = f"{weights.name} lacks {', '.join(given.buffers[:3])}, kept as the model was built"
            print(f"initlab: notice: {told}", file=sys.stderr)
    return parts


def _parts(factory: str) -> tuple[object, object, object]:
    from initlab.frameworks import constructed, is_saved_model, opened

    if is_saved_model(factory):
        return opened(factory), None, None
    found = named_here(factory)
    if callable(found) and not _is_model(found):
        return constructed(found, f"'{factory}'")[0]
    parts = parts_of(found)
    if parts[0] is None:
        raise OptionError(f"'{factory}' is None", fix="name what returns the model")
    return parts


@contextmanager
def seeding(factory: str, seed: int | None) -> Iterator[None]:
    """Within it, all generators that the factory's model may be drawn from start from a seed.

    They are those of Python, NumPy and the frameworks that the factory's module imports; one that nobody imported draws
    nothing.

    Args:
        factory: As for ``built_model``.
        seed: A whole number of 0 or more; None leaves the generators as they are.

    Raises:
        OptionError: A negative seed, or a factory that is not there.
    """
    from initlab.frameworks import is_saved_model, seeded

    if not is_saved_model(factory):
        named_here(factory)
    with nullcontext() if seed is None else seeded(check_seed(seed)):
        yield


def named_here(factory: str) -> object:
    """What stands under ``package.module:name`` or ``file.py:name``, the working folder included, for workers too.

    Raises:
        OptionError: A module or name that is not there.
        InitlabError: The module raised.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return named(dotted_of_file(factory), asked=factory)


def _is_model(found: object) -> bool:
    """Whether a callable is a model itself: frameworks make their models callable."""
    from initlab.frameworks import framework_of

    return not isinstance(found, type) and framework_of(found) is not None
