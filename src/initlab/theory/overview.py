"""Everything that theory says about one activation at one choice of weights, in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf, isfinite, log
from typing import Literal

from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.criticality import CriticalPoint, edge_of_chaos, half_stable_point
from initlab.theory.curves import LayerPoint, layer_curve
from initlab.theory.describe import ActivationDescription, describe_activation
from initlab.theory.edge_laws import EdgeLaw, edge_law
from initlab.theory.expectations import ActivationLike
from initlab.theory.fixed_points import FixedPoint, fixed_point, q_star
from initlab.theory.gains import check_variance, forward_gain, variance_slope
from initlab.theory.normalisation import batch_norm_factor, layer_norm_factor
from initlab.theory.overflow import format_log
from initlab.theory.phases import PhaseDiagram, phase_diagram
from initlab.theory.saturation import saturation_probability
from initlab.theory.spectra import jacobian_variance

_NEAR = 1e-3
_SMALL = 1e-9  # a variance at which only the slope at zero counts
# Less than 5 % is not worth a word.
_SAME_SIZE = log(1.05)

Choice = Literal["given", "edge of chaos", "forward gain"]


@dataclass(frozen=True)
class TheoryReport:
    """What ``theory_report`` finds.

    Attributes:
        description: The activation's gains and slopes, in numbers and in words.
        sigma_w2: The variance of a weight times its fan-in.
        sigma_b2: The variance of a bias.
        depth: The number of layers.
        choice: Where ``sigma_w2`` is from.
        fixed_point: Where the signal settles, with the depth scales; None where it dies out or explodes.
        edge: The edge of chaos at ``sigma_b2``; None where there is none.
        half_stable: The point from which on the edge is stable; None where it is of one kind throughout.
        edge_law: How correlations go to 1 at the edge; None without an edge, at ``q* = 0``, and for a straight line.
        layers: Signal, correlation (of inputs that have nothing in common) and gradient, layer by layer, from
            ``E z^2 = 1`` on.
        log_gradient_ratio: The natural logarithm of the squared gradient of the first layer over that of the last.
        saturated: The share of units whose slope is below 5 % of the largest, at the fixed point.
        gaussian_variance: The relative variance of the squared singular values of the Jacobian of ``depth`` Gaussian
            layers at the fixed point.
        orthogonal_variance: The same for orthogonal layers.
        layer_norm_factor: The gradient factor of a layer with layer norm; None where it has none.
        batch_norm_factor: The same with batch norm.
        phases: ``chi_1`` over a plane of weights and biases, with the edge; None where no gradient passes.
        verdict: What all that means for ``depth`` layers, in words.
    """

    description: ActivationDescription
    sigma_w2: float
    sigma_b2: float
    depth: int
    choice: Choice
    fixed_point: FixedPoint | None
    edge: CriticalPoint | None
    half_stable: CriticalPoint | None
    edge_law: EdgeLaw | None
    layers: tuple[LayerPoint, ...]
    log_gradient_ratio: float
    saturated: float | None
    gaussian_variance: float | None
    orthogonal_variance: float | None
    layer_norm_factor: float | None
    batch_norm_factor: float | None
    phases: PhaseDiagram | None
    verdict: str

    @property
    def gradient_ratio(self) -> float:
        """The squared gradient of the first layer over that of the last; infinite, or 0, beyond a float."""
        return self.layers[0].gradient

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON data, the gradients beside their logarithms; what is infinite is null.

        Example:
            >>> d = theory_report("relu", depth=3).to_dict()
            >>> d["choice"], d["sigma_w2"].__round__(9), len(d["layers"])
            ('edge of chaos', 2.0, 3)
        """
        plain = {key: _plain(value) for key, value in asdict(self).items()}
        layers = [{**_plain_layer(p), "gradient": _plain(p.gradient)} for p in self.layers]
        ratio = _plain(self.gradient_ratio)
        return {**plain, "description": self.description.to_dict(), "layers": layers, "gradient_ratio": ratio}


def theory_report(
    f: ActivationLike, *, sigma_w2: float | None = None, sigma_b2: float = 0.0, depth: int = 50
) -> TheoryReport:
    """What theory says about a deep, wide, fully connected network of one activation.

    Args:
        f: A name, an ``Activation``, or any NumPy function of one array.
        sigma_w2: The variance of a weight times its fan-in, above 0; without one that of the edge of chaos at
            ``sigma_b2`` if a signal of variance 1 settles there, else the squared forward gain.
        sigma_b2: The variance of a bias, 0 or more.
        depth: The number of layers, 1 or more.

    Returns:
        The report.

    Raises:
        UnknownNameError: No activation has that name.
        OptionError: An argument out of range.
        InitlabError: A moment of the activation is not finite.

    Example:
        >>> found = theory_report("tanh", sigma_b2=0.05)
        >>> found.choice, round(found.sigma_w2, 9), round(found.edge_law.coefficient, 5)
        ('edge of chaos', 1.76095464, 6.17113)
    """
    act, bias = activation(f), check_variance(sigma_b2, "sigma_b2")
    description = describe_activation(act)
    # Without a slope or a signal there is no critical weight.
    passes = description.backward_gain is not None
    edge = edge_of_chaos(act, sigma_b2=bias) if passes else None
    weight, choice = _weight(act, sigma_w2, edge)
    settled = _settled(act, weight, bias)
    layers = layer_curve(act, depth, sigma_w2=weight, sigma_b2=bias)
    q = None if settled is None or not passes else settled.q_star
    return TheoryReport(
        description=description,
        sigma_w2=weight,
        sigma_b2=bias,
        depth=depth,
        choice=choice,
        fixed_point=settled,
        edge=edge,
        half_stable=half_stable_point(act) if passes else None,
        edge_law=_edge_law(act, edge),
        layers=layers,
        log_gradient_ratio=layers[0].log_gradient,
        saturated=None if q is None else saturation_probability(act, q),
        gaussian_variance=None if q is None else jacobian_variance(act, depth, q=q),
        orthogonal_variance=None if q is None else jacobian_variance(act, depth, q=q, weights="orthogonal"),
        layer_norm_factor=layer_norm_factor(act) if description.second_moment > 0.0 else None,
        batch_norm_factor=batch_norm_factor(act) if description.variance > 0.0 else None,
        phases=phase_diagram(act) if passes else None,
        verdict=_say(act, settled, weight, bias, layers, depth),
    )


def _weight(act: Activation, given: float | None, edge: CriticalPoint | None) -> tuple[float, Choice]:
    if given is not None:
        if not check_variance(given, "sigma_w2") > 0.0:
            raise OptionError(f"sigma_w2 must be above 0, got {given!r}", fix="give a variance")
        return float(given), "given"
    if edge is not None and edge.is_stable and _is_reached(act, edge):
        return edge.sigma_w2, "edge of chaos"
    return forward_gain(act) ** 2, "forward gain"


def _is_reached(act: Activation, edge: CriticalPoint) -> bool:
    """Whether a signal of variance 1 runs into the point, and not past it."""
    end = _end(act, edge.sigma_w2, edge.sigma_b2)
    # To q* = 0 a signal falls so slowly that its end is not told from 0.
    return edge.q_star == 0.0 or (end < inf and abs(end - edge.q_star) <= _NEAR * edge.q_star)


def _settled(act: Activation, weight: float, bias: float) -> FixedPoint | None:
    return fixed_point(act, sigma_w2=weight, sigma_b2=bias) if 0.0 < _end(act, weight, bias) < inf else None


def _end(act: Activation, weight: float, bias: float) -> float:
    return q_star(act, sigma_w2=weight, sigma_b2=bias)


def _edge_law(act: Activation, edge: CriticalPoint | None) -> EdgeLaw | None:
    if edge is None or edge.q_star == 0.0:
        return None
    try:
        return edge_law(act, sigma_w2=edge.sigma_w2, q=edge.q_star)
    except OptionError:  # f jumps
        return None


def _say(
    act: Activation, at: FixedPoint | None, weight: float, bias: float, layers: tuple[LayerPoint, ...], depth: int
) -> str:
    if len(layers) < depth:
        return f"The signal is lost at layer {len(layers) + 1} of {depth}."
    log_ratio = layers[0].log_gradient
    if log_ratio == -inf:
        return "No gradient passes."
    gradient = f"On its way back through {depth} layers the gradient's norm {_change(0.5 * log_ratio)}."
    is_at_zero = bias == 0.0 and abs(variance_slope(act, weight, _SMALL) - 1.0) < _NEAR
    if is_at_zero and at is not None and at.q_star < _SMALL:
        at = None  # what rounding leaves of zero
    if at is None:
        fades = _end(act, weight, bias) < _SMALL
        if fades and is_at_zero:
            return f"Edge of chaos at zero: the signal fades like one over the depth, by no factor a layer. {gradient}"
        fate = "dies out" if fades else "grows without end"
        return f"The signal {fate} with depth. {gradient}"
    if abs(at.chi_q) > 1.0 + 1e-9:
        off = f"a signal off it is {abs(at.chi_q):.3g} times as far off a layer later"
        gradient = f"The fixed point repels: {off}. {gradient}"
    if at.phase == "critical":
        return f"Edge of chaos: signals and gradients reach any depth of a wide net. {gradient}"
    if at.phase == "ordered":
        fate = f"inputs become alike, by a factor e in {at.xi_c:.3g} layers, and gradients vanish"
    else:
        fate = f"inputs settle at a correlation of {at.c_star:.3g} within {at.xi_c:.3g} layers, and gradients explode"
    return f"{at.phase.capitalize()} phase: {fate}. {gradient}"


def _change(log_ratio: float) -> str:
    if abs(log_ratio) < _SAME_SIZE:
        return "keeps its size"
    return f"{'grows' if log_ratio > 0.0 else 'shrinks'} {format_log(abs(log_ratio))} times"


def _plain_layer(point: LayerPoint) -> dict[str, object]:
    return {key: _plain(value) for key, value in asdict(point).items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value
