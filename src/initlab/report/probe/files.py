"""A profile as a file: a picture, or a page."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from initlab.core.files import PAGES, PICTURES, check_target, write_whole
from initlab.probing.checks.limits import Limits
from initlab.probing.profile import Profile, SideBySide
from initlab.report.drawing.png import render
from initlab.report.probe.beside import beside_figure, beside_spec
from initlab.report.probe.figures import SingularFigure, probe_figure
from initlab.report.probe.specs import probe_spec


def write_beside(path: Path, both: SideBySide) -> None:
    """The picture shows the profiles side by side; what the file held before is replaced, as a whole.

    Args:
        path: Where to; ``.png`` or ``.svg``.
        both: The profiles.

    Raises:
        OptionError: Another ending, or a folder that does not exist.
        MissingDependencyError: No vl-convert.
    """
    check_target(path, PICTURES)
    form: Literal["svg", "png"] = "svg" if path.suffix.lower() == ".svg" else "png"
    write_whole(path, render(beside_spec(beside_figure(both)), form=form))


def write_profile(
    path: Path,
    profile: Profile,
    *,
    limits: Limits | None = None,
    singular: SingularFigure | None = None,
    command: str = "",
) -> None:
    """The file shows the profile; what it held before is replaced, as a whole.

    Args:
        path: Where to; the ending decides: ``.png``, ``.svg``, or ``.html`` for a page with findings and tables.
        profile: Of the model.
        limits: Those of a healthy model, for the page.
        singular: Singular values of its Jacobian.
        command: What was typed, for the page.

    Raises:
        OptionError: Another ending, or a folder that does not exist.
        MissingDependencyError: A picture without vl-convert.
    """
    check_target(path, (*PICTURES, *PAGES))
    figure = probe_figure(profile, singular=singular)
    ending = path.suffix.lower()
    if ending in PAGES:
        from initlab.report.probe.html import probe_html

        write_whole(path, probe_html(profile, profile.diagnose(limits), figure, command=command).encode("utf-8"))
    else:
        write_whole(path, render(probe_spec(figure), form="svg" if ending == ".svg" else "png"))
