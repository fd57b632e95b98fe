"""What a parameter does by the name that everybody gives it, where no type says it."""

from __future__ import annotations

import re

_SCALE = re.compile(r"(alpha|gate|gamma|lambda|layer_?scale\w*|skip_?gain|res_?(scale|weight))(_?\d+)?$", re.IGNORECASE)


def is_scale_name(name: str) -> bool:
    """Whether a parameter or class of this name scales a branch or opens a gate.

    Example:
        >>> is_scale_name("blocks.0.gamma_1"), is_scale_name("LayerScale"), is_scale_name("blocks.0.weight")
        (True, True, False)
    """
    return _SCALE.search(name) is not None
