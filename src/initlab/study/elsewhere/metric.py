"""Which metric of foreign runs is compared, and whether more of it is better."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from initlab.core.errors import OptionError
from initlab.study.elsewhere.runs import ForeignRun

Better = Literal["higher", "lower"]
_LOWER = {"loss", "error", "err", "mse", "rmse", "mae", "nll", "perplexity", "ppl", "bpb", "bpc", "wer", "cer", "fid"}
_HIGHER = {"accuracy", "acc", "auc", "auroc", "f1", "precision", "recall", "bleu", "rouge", "map", "iou", "r2"} | {
    "score", "reward", "return", "psnr", "ssim", "top1", "top5", "mcc", "dice"
}  # fmt: skip
_WORDS = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*")


def choose_metric(runs: Sequence[ForeignRun], metric: str | None) -> str:
    """The metric that was named, or the only one.

    Raises:
        OptionError: No run has it, or there are several and none was named.
    """
    counts: dict[str, int] = {}
    for run in runs:
        for name in run.metrics:
            counts[name] = counts.get(name, 0) + 1
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    some = ", ".join(ordered[:12]) + (f" and {len(ordered) - 12} more" if len(ordered) > 12 else "")
    if metric is not None and metric not in counts:
        raise OptionError(f"no run has '{metric}'", where="--metric", fix=f"there are {some or 'none'}")
    if metric is None and len(counts) != 1:
        what = f"the runs have {len(counts)} metrics" if counts else "the runs have no metric"
        raise OptionError(what, where="--metric", fix=f"name one of {some}" if counts else "name a table of numbers")
    return ordered[0] if metric is None else metric


def choose_better(metric: str, better: str | None) -> Better:
    """Whether more is better: as was said, or as the words of the name say.

    Raises:
        OptionError: Neither says it.

    Example:
        >>> choose_better("val/loss", None), choose_better("testAccuracy", None), choose_better("bits", "lower")
        ('lower', 'higher', 'lower')
    """
    if better is not None:
        if better not in get_args(Better):
            raise OptionError(f"'{better}' is no direction", where="--better", fix="higher or lower")
        return "lower" if better == "lower" else "higher"
    words = {word.lower() for word in _WORDS.findall(metric)}
    lower, higher = bool(words & _LOWER), bool(words & _HIGHER)
    if lower == higher:
        raise OptionError(f"'{metric}' does not say whether more is better", where="--better", fix="higher or lower")
    return "lower" if lower else "higher"
