"""Mean-field theory of a network at its first step: activations, Gaussian expectations, gains and what they mean."""

from __future__ import annotations

from initlab.theory import bounded_activations, piecewise_activations, smooth_rectifiers
from initlab.theory.activations import ACTIVATIONS, Activation, activation, register_activation
from initlab.theory.attention import (
    AttentionSharpness,
    attention_logit_variance,
    attention_sharpness,
    rank_collapse_depth,
    token_cosines,
)
from initlab.theory.chain import Breach, ChainLayer, Course, LayerSignal, Limits, chain_signals, follow_chain
from initlab.theory.criticality import CriticalPoint, critical_curve, edge_of_chaos, half_stable_point
from initlab.theory.curves import LayerPoint, layer_curve
from initlab.theory.dead_units import dead_layer_probability, dead_net_probability, dead_share, silent_below
from initlab.theory.describe import ActivationDescription, describe_activation
from initlab.theory.dropout import (
    DropoutPoint,
    dropout_correlation_map,
    dropout_critical_weight,
    dropout_point,
    dropout_variance_map,
)
from initlab.theory.edge_laws import EdgeLaw, edge_law, origin_law
from initlab.theory.expectations import ActivationLike, Moments, expect, moments
from initlab.theory.finite_width import (
    LogGrowth,
    exact_log_growth,
    inverse_width_sum,
    log_second_moment_growth,
    lognormal_growth,
    second_moment_growth,
    signal_noise,
)
from initlab.theory.fixed_points import FixedPoint, fixed_point, q_star
from initlab.theory.gains import backward_gain, centered_gain, chi_1, forward_gain, variance_slope
from initlab.theory.initial_loss import InitialLoss, initial_cross_entropy, initial_squared_error
from initlab.theory.maps import correlation_map, correlation_slope, pair_moment, variance_map
from initlab.theory.normalisation import batch_norm_factor, layer_norm_factor, post_norm_factor
from initlab.theory.ntk import TangentKernel, tangent_kernels
from initlab.theory.overview import TheoryReport, theory_report
from initlab.theory.phases import PhaseDiagram, phase_diagram
from initlab.theory.residual import (
    StreamGrowth,
    StreamState,
    log_residual_growth,
    pre_norm_stream,
    residual_growth,
    residual_stream,
)
from initlab.theory.saturation import largest_slope, saturation_probability
from initlab.theory.softmax import LogSumExp, log_sum_exp, softmax_entropy, softmax_square_sum
from initlab.theory.spectra import (
    JacobianSpectrum,
    fuss_catalan_moment,
    jacobian_edge,
    jacobian_mean,
    jacobian_spectrum,
    jacobian_variance,
    log_fuss_catalan_moment,
    log_jacobian_edge,
    log_jacobian_mean,
)

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ActivationDescription",
    "ActivationLike",
    "AttentionSharpness",
    "Breach",
    "ChainLayer",
    "Course",
    "CriticalPoint",
    "DropoutPoint",
    "EdgeLaw",
    "FixedPoint",
    "InitialLoss",
    "JacobianSpectrum",
    "LayerPoint",
    "LayerSignal",
    "Limits",
    "LogGrowth",
    "LogSumExp",
    "Moments",
    "PhaseDiagram",
    "StreamGrowth",
    "StreamState",
    "TangentKernel",
    "TheoryReport",
    "activation",
    "attention_logit_variance",
    "attention_sharpness",
    "backward_gain",
    "batch_norm_factor",
    "bounded_activations",
    "centered_gain",
    "chain_signals",
    "chi_1",
    "correlation_map",
    "correlation_slope",
    "critical_curve",
    "dead_layer_probability",
    "dead_net_probability",
    "dead_share",
    "describe_activation",
    "dropout_correlation_map",
    "dropout_critical_weight",
    "dropout_point",
    "dropout_variance_map",
    "edge_law",
    "edge_of_chaos",
    "exact_log_growth",
    "expect",
    "fixed_point",
    "follow_chain",
    "forward_gain",
    "fuss_catalan_moment",
    "half_stable_point",
    "initial_cross_entropy",
    "initial_squared_error",
    "inverse_width_sum",
    "jacobian_edge",
    "jacobian_mean",
    "jacobian_spectrum",
    "jacobian_variance",
    "largest_slope",
    "layer_curve",
    "layer_norm_factor",
    "log_fuss_catalan_moment",
    "log_jacobian_edge",
    "log_jacobian_mean",
    "log_residual_growth",
    "log_second_moment_growth",
    "log_sum_exp",
    "lognormal_growth",
    "moments",
    "origin_law",
    "pair_moment",
    "phase_diagram",
    "piecewise_activations",
    "post_norm_factor",
    "pre_norm_stream",
    "q_star",
    "rank_collapse_depth",
    "register_activation",
    "residual_growth",
    "residual_stream",
    "saturation_probability",
    "second_moment_growth",
    "signal_noise",
    "silent_below",
    "smooth_rectifiers",
    "softmax_entropy",
    "softmax_square_sum",
    "tangent_kernels",
    "theory_report",
    "token_cosines",
    "variance_map",
    "variance_slope",
]
