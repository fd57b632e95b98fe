"""The table of activations."""

from __future__ import annotations

from initlab.core.errors import InitlabError
from initlab.theory import ACTIVATIONS, activation, describe_activation, edge_of_chaos
from registries.markdown import MADE, page, table

SIGMA_B2 = 0.05
HEADER = ["activation", "forward gain", "centered gain", "backward gain", "χ<sub>1</sub>", "V'(1)", "edge of chaos"]


def activations() -> str:
    """Every activation: gains, chi_1, V'(1) and the edge of chaos."""
    said = (
        f"{MADE}; `initlab theory NAME` explains one. For a standard normal z the forward gain is 1/√(E f(z)²), the"
        " centered one 1/√(Var f(z)), the backward one 1/√(E f'(z)²); χ<sub>1</sub>, the factor of the squared gradient"
        " a layer, and V'(1), that of a deviation of the signal, are taken at the forward gain. V'(1) above 1 means"
        " that the gain holds no signal in a deep net. The edge of chaos is the n Var w at which neither signal nor"
        f" gradient fades or grows, for biases of variance {SIGMA_B2:g}; at an unstable one the signal does not stay."
    )
    numbers = table(HEADER, [row(name) for name in ACTIVATIONS])
    formulas = table(["activation", "f(x)"], [[f"`{name}`", f"`{activation(name).formula}`"] for name in ACTIVATIONS])
    return page("Activations", said, numbers, "## Formulas\n", formulas)


def row(name: str) -> list[str]:
    """One activation."""
    d = describe_activation(activation(name))
    gains = [d.forward_gain, d.centered_gain, d.backward_gain, d.chi_1, d.variance_slope]
    return [f"`{d.name}`", *map(number, gains), edge(name)]


def number(value: float | None) -> str:
    """A gain."""
    return "infinite" if value is None else f"{value:z.5f}"


def edge(name: str) -> str:
    """The edge of chaos in words."""
    try:
        point = edge_of_chaos(name, sigma_b2=SIGMA_B2)
    except InitlabError:  # no gradient passes
        return "none"
    if point is None:
        return "none"
    return f"{point.sigma_w2:.4f}, {'stable' if point.is_stable else 'unstable'}"


PAGES = {"activations.md": activations}
