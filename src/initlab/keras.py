"""A scheme in Keras' own form: ``Dense(64, kernel_initializer=initlab.keras.Initializer("he_normal"))``."""

from __future__ import annotations

from initlab.core.errors import MissingDependencyError

try:
    from initlab.frameworks.keras.writing.initializers import Initializer
except ModuleNotFoundError as error:
    if error.name != "keras":
        raise
    raise MissingDependencyError("initlab.keras needs keras", fix="pip install 'initlab[keras]'") from error

__all__ = ["Initializer"]
