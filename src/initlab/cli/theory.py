"""``initlab theory``: what an activation does to signal and gradient, in numbers and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from initlab.theory import ActivationDescription


def theory(
    activation: Annotated[
        str, typer.Argument(help="An activation of 'initlab list activations', e.g. gelu or \"elu(alpha=0.5)\".")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
) -> None:
    """Print the gains of an activation, and say in words what its slope V'(1) means for depth."""
    from initlab.cli.output import print_json, print_pairs
    from initlab.theory import describe_activation

    description = describe_activation(activation)
    if as_json:
        print_json(description.to_dict())
    else:
        print_pairs(description.name, _rows(description))


def _rows(d: ActivationDescription) -> dict[str, str]:
    def number(value: float | None) -> str:
        return "infinite" if value is None else f"{value:.10g}"

    return {
        "f(x)": d.formula,
        "forward gain": f"{number(d.forward_gain)}   1 / sqrt(E f(z)^2)",
        "centered gain": f"{number(d.centered_gain)}   1 / sqrt(Var f(z))",
        "backward gain": f"{number(d.backward_gain)}   1 / sqrt(E f'(z)^2)",
        "E f'(z)^2": number(d.slope_second_moment),
        "chi_1": f"{number(d.chi_1)}   at the forward gain",
        "V'(1)": f"{number(d.variance_slope)}   at the forward gain",
        "signal": d.signal,
        "gradient": d.gradient,
        "source": d.source,
    }
