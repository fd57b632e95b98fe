"""The weights of an attention that a back end computes in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from initlab.core.signals.readings import GRAM_ROWS
from initlab.frameworks.keras.autodiff import Autodiff

_QUERIES = 32


def shares_of(bound: Mapping[str, Any], engine: Autodiff) -> Any:
    """The weights of an attention for its first samples, in float32; of many queries some, evenly spaced."""
    query, key = (ops.cast(engine.plain(bound[name])[:GRAM_ROWS], "float32") for name in ("query", "key"))
    length, heads = int(query.shape[1]), int(query.shape[2])
    picked = np.arange(length - 1, -1, -max(length // _QUERIES, 1))
    scale = bound.get("scale")
    factor = float(scale) if scale is not None else float(query.shape[-1]) ** -0.5
    if int(key.shape[2]) != heads:
        key = ops.repeat(key, heads // int(key.shape[2]), axis=2)
    query = ops.take(query, picked, axis=1)
    scores = ops.einsum("btnh,bsnh->bnts", query * factor, key)
    for name in ("bias", "mask"):
        given = bound.get(name)
        if given is None:
            continue
        part = engine.plain(ops.convert_to_tensor(given))
        part = part[:GRAM_ROWS] if len(part.shape) == 4 and int(part.shape[0]) > 1 else part
        part = ops.take(part, picked, axis=-2) if int(part.shape[-2]) == length else part
        low = ops.cast(ops.full_like(scores, -1e30), "float32")
        scores = scores + ops.cast(part, "float32") if name == "bias" else ops.where(part, scores, low)
    if bound.get("is_causal"):
        later = np.arange(int(key.shape[1])) > picked[:, None]
        scores = ops.where(ops.convert_to_tensor(later), ops.full_like(scores, -1e30), scores)
    return ops.softmax(scores, axis=-1)
