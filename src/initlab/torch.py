"""A scheme in PyTorch's own form: ``initlab.torch.init_(tensor, "he_normal")``."""

from __future__ import annotations

from initlab.core.errors import MissingDependencyError

try:
    from initlab.frameworks.torch.writing.initializers import init_
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise MissingDependencyError("initlab.torch needs torch", fix="pip install 'initlab[torch]'") from error

__all__ = ["init_"]
