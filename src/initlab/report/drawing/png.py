"""A specification as a picture, drawn by vl-convert without a browser and without the network."""

from __future__ import annotations

from types import ModuleType
from typing import Literal

from initlab.core.errors import DrawingError, MissingDependencyError
from initlab.core.factories import said
from initlab.report.drawing.theme import Spec

# The Vega-Lite of report/vendor; vl-convert brings several.
VEGA_LITE = "6.4"


def render(spec: Spec, *, form: Literal["png", "svg"], scale: float = 2.0) -> bytes:
    """The drawing of a specification as the bytes of a file.

    Args:
        spec: Vega-Lite, its data inline.
        form: Kind of file.
        scale: Pixels of a PNG to one unit of the drawing.

    Raises:
        MissingDependencyError: vl-convert is not installed.
        DrawingError: It cannot be drawn.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise MissingDependencyError(
            "pictures need vl-convert-python, which is not installed", fix="pip install 'initlab[report]'"
        ) from error
    try:
        return _render(vl_convert, spec, form, scale)
    except BaseException as error:
        # A panic of its Rust code is no Exception.
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
            raise
        reason = said(error).splitlines()[0]
        raise DrawingError(f"the picture cannot be drawn: {reason}", fix="ask for SVG, or a smaller one") from error


def _render(vl_convert: ModuleType, spec: Spec, form: Literal["png", "svg"], scale: float) -> bytes:
    if form == "svg":
        svg: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
        return svg.encode()
    png: bytes = vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=scale, allowed_base_urls=[])
    return png
