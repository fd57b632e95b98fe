"""``initlab theory``: what an activation does to signal, correlation and gradient, in numbers, words and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from initlab.cli.completion import activations


def theory(
    activation: Annotated[
        str,
        typer.Argument(
            help="An activation of 'initlab list activations', e.g. gelu or \"elu(alpha=0.5)\".",
            autocompletion=activations,
        ),
    ],
    sigma_w2: Annotated[
        float | None, typer.Option(help="Variance of a weight times its fan-in; the edge of chaos if left out.")
    ] = None,
    sigma_w: Annotated[float | None, typer.Option(help="Its root, in place of it.")] = None,
    sigma_b2: Annotated[float | None, typer.Option(help="Variance of a bias; 0 if left out.")] = None,
    sigma_b: Annotated[float | None, typer.Option(help="Its root, in place of it.")] = None,
    depth: Annotated[int, typer.Option(help="Layers.")] = 50,
    png: Annotated[Path | None, typer.Option(help="Draw the picture into this file; .svg gives SVG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Print what theory says of an activation: gains, fixed points, edge of chaos, and depth."""
    from initlab.cli.output import print_json
    from initlab.theory import theory_report

    weight, bias = _variance("sigma-w", sigma_w2, sigma_w), _variance("sigma-b", sigma_b2, sigma_b)
    if png is not None:
        from initlab.core.files import PICTURES, check_target

        check_target(png, PICTURES, option="--png")
    report = theory_report(activation, sigma_w2=weight, sigma_b2=bias or 0.0, depth=depth)
    if as_json:
        print_json(report.to_dict())
    else:
        from initlab.report.theory.text import theory_text

        typer.echo(theory_text(report))
    if png is not None:
        from initlab.report.theory.specs import write_theory_picture

        write_theory_picture(png, report)


def _variance(name: str, variance: float | None, std: float | None) -> float | None:
    from initlab.core.errors import OptionError

    if std is None:
        return variance
    if variance is not None:
        raise OptionError("a variance and its root", where=f"--{name}2, --{name}", fix="give one of them")
    if not std >= 0.0:
        raise OptionError(f"a standard deviation of {std:g}", where=f"--{name}", fix="give 0 or more")
    return std * std
