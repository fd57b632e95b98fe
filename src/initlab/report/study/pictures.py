"""The learning curves as a picture, beside each other: score and loss by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from initlab.core.errors import OptionError
from initlab.core.files import write_whole
from initlab.report.drawing.png import render
from initlab.report.drawing.text import count_of
from initlab.report.study.figures import loss_figure, score_figure
from initlab.report.study.specs import picture_spec
from initlab.study.records import RunRecord, StudyDesign


def write_curves_png(
    path: str | Path, design: StudyDesign, records: Sequence[RunRecord], *, scale: float = 2.0
) -> Path:
    """The file shows test accuracy and train loss by epoch, side by side, a line a scheme.

    Args:
        path: Where to; the ending ``.svg`` gives SVG, any other PNG.
        design: What was asked.
        records: All runs.
        scale: Pixels of a PNG to one unit of the drawing, which is about 1000 units wide.

    Returns:
        The path.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    target = Path(path)
    if not scale > 0:
        raise OptionError(f"scale must be above 0, got {scale}")
    title = f"{design.title or design.name}: mean of {count_of(design.seeds, 'seed')}"
    spec = picture_spec(score_figure(design, records), loss_figure(design, records), title=title)
    write_whole(target, render(spec, form="svg" if target.suffix.lower() == ".svg" else "png", scale=scale))
    return target
