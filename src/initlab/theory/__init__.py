"""Mean-field theory of a network at its first step: activations, Gaussian expectations, gains and what they mean."""

from __future__ import annotations

from initlab.theory import bounded_activations, piecewise_activations, smooth_rectifiers
from initlab.theory.activations import ACTIVATIONS, Activation, activation, register_activation
from initlab.theory.chain import Breach, ChainLayer, Course, LayerSignal, Limits, chain_signals, follow_chain
from initlab.theory.criticality import CriticalPoint, edge_of_chaos, half_stable_point
from initlab.theory.describe import ActivationDescription, describe_activation
from initlab.theory.expectations import ActivationLike, Moments, expect, moments
from initlab.theory.fixed_points import FixedPoint, fixed_point, q_star
from initlab.theory.gains import backward_gain, centered_gain, chi_1, forward_gain, variance_slope
from initlab.theory.maps import correlation_map, correlation_slope, pair_moment, variance_map

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ActivationDescription",
    "ActivationLike",
    "Breach",
    "ChainLayer",
    "Course",
    "CriticalPoint",
    "FixedPoint",
    "LayerSignal",
    "Limits",
    "Moments",
    "activation",
    "backward_gain",
    "bounded_activations",
    "centered_gain",
    "chain_signals",
    "chi_1",
    "correlation_map",
    "correlation_slope",
    "describe_activation",
    "edge_of_chaos",
    "expect",
    "fixed_point",
    "follow_chain",
    "forward_gain",
    "half_stable_point",
    "moments",
    "pair_moment",
    "piecewise_activations",
    "q_star",
    "register_activation",
    "smooth_rectifiers",
    "variance_map",
    "variance_slope",
]
