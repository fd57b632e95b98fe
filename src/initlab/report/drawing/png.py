"""The learning curves as a picture, drawn by vl-convert without a browser and without the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from initlab.core.errors import MissingDependencyError, OptionError
from initlab.report.drawing.files import write_whole
from initlab.report.drawing.text import counted
from initlab.report.drawing.theme import Spec
from initlab.report.study.figures import loss_figure, score_figure
from initlab.report.study.specs import picture_spec
from initlab.study.records import RunRecord, StudyDesign

# The Vega-Lite of report/vendor; vl-convert brings several.
VEGA_LITE = "6.4"


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
    title = f"{design.title or design.name}: mean of {counted(design.seeds, 'seed')}"
    spec = picture_spec(score_figure(design, records), loss_figure(design, records), title=title)
    write_whole(target, drawn(spec, form="svg" if target.suffix.lower() == ".svg" else "png", scale=scale))
    return target


def drawn(spec: Spec, *, form: Literal["png", "svg"], scale: float = 2.0) -> bytes:
    """The drawing of a specification as the bytes of a file.

    Args:
        spec: Vega-Lite, its data inline.
        form: Kind of file.
        scale: Pixels of a PNG to one unit of the drawing.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise MissingDependencyError(
            "pictures need vl-convert-python, which is not installed", fix="pip install 'initlab[report]'"
        ) from error
    if form == "svg":
        svg: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
        return svg.encode()
    png: bytes = vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=scale, allowed_base_urls=[])
    return png
