"""How parameters start that no scheme rules: by their role, or by what they do in a recurrence."""

from __future__ import annotations

from math import log

from initlab.core.facts.spec import Dynamics, ParamSpec
from initlab.core.laws import Along, Blocks, Constant, Law, Normal, Uniform, Warped

EMBEDDING_STD = 0.02  # GPT-2, BERT and ViT draw their embedding tables with it

_STEPS = (0.001, 0.1)
_RATES = (1.0, 16.0)
_RADII = (0.9, 0.999)


def start_by_role(p: ParamSpec, *, opens_forget_gates: bool = True) -> tuple[Law, str] | None:
    """The law of a parameter that has no sums to keep in size, and why; None where its role has none.

    Args:
        p: The parameter.
        opens_forget_gates: Whether the bias of an LSTM's forget gate starts at 1, not at 0.

    Example:
        >>> start_by_role(ParamSpec(shape=(3,), role="norm_scale"))
        (Constant(value=1.0), 'norm layers start as the plain normalisation')
    """
    if p.dynamics is not None:
        return start_in_recurrence(p, p.dynamics)
    if p.role == "bias":
        if opens_forget_gates and p.forget_block is not None:
            return open_forget_gate(p), "biases start at zero, the forget gate's at one"
        return Constant(0.0), "biases start at zero"
    if p.role in ("norm_scale", "norm_bias"):
        return Constant(1.0 if p.role == "norm_scale" else 0.0), "norm layers start as the plain normalisation"
    if p.role == "embedding":
        return Normal(EMBEDDING_STD), "embeddings have no fan; 0.02 as in GPT-2 and BERT"
    return None


def open_forget_gate(p: ParamSpec) -> Law:
    """The law of an LSTM's bias that starts at 0, but at 1 in the block of the forget gate, if it has one.

    Gers et al. 2000 and Jozefowicz et al. 2015, section 2.2: an open gate keeps the state, and its gradient, at first.

    Example:
        >>> open_forget_gate(ParamSpec(shape=(8,), role="bias", blocks=(2,) * 4, forget_block=1)).mean((8,))
        0.25
    """
    if p.forget_block is None:
        return Constant(0.0)
    laws = tuple(Constant(1.0 if n == p.forget_block else 0.0) for n in range(max(len(p.blocks), 1)))
    return Blocks(laws, p.blocks) if p.blocks else laws[0]


def start_in_recurrence(p: ParamSpec, does: Dynamics) -> tuple[Law, str] | None:
    """The published law of a parameter of a linear recurrence, and why; None where its axes are not known.

    Steps and rates as in state-spaces/mamba (``mamba_simple.py``: a rate for each of N states is their number 1..N;
    ``mamba2.py``: one rate a head, uniform in [1, 16]), radii as in google-deepmind/recurrentgemma
    (``rnn_real_param_init``), decays as in BlinkDL/RWKV-LM (RWKV-4, by layer and channel).

    Example:
        >>> law, _ = start_in_recurrence(ParamSpec(shape=(6, 3), role="scale"), Dynamics("rate", states=1))
        >>> law.values == (0.0, log(2.0), log(3.0)), law.axis
        (True, 1)
    """
    if does.part == "step":
        low, high = _STEPS
        return Warped(Uniform(log(low), log(high)), "step"), "the step of a recurrence starts between 1/1000 and 1/10"
    if does.part == "rate" and does.states is not None:
        n = p.shape[does.states]
        numbers = tuple(log(k) for k in range(1, n + 1))
        return Along(numbers, does.states, f"log(1..{n})"), "the decays of a recurrence start at log(1..N)"
    if does.part == "rate" and sum(n > 1 for n in p.shape) <= 1:
        return Warped(Uniform(*_RATES), "log"), "the decay of each head starts between 1 and 16"
    if does.part == "radius":
        low, high = _RADII
        return Warped(Uniform(low**2, high**2), "radius"), "the decay starts uniform on a ring, between 0.9 and 0.999"
    if does.part == "skip":
        return Constant(1.0), "what goes past a recurrence starts whole"
    if does.part == "decay":
        return _decay(p, does)
    return None


def _decay(p: ParamSpec, does: Dynamics) -> tuple[Law, str] | None:
    """``-5 + 8 (i / (n - 1))^(0.7 + 1.3 l / (L - 1))`` for channel i of n and layer l of L, both counted from 0."""
    n = max(p.shape, default=0)
    if n < 2 or n != p.size:
        return None
    power = 0.7 + 1.3 * (does.layer - 1) / max(does.layers - 1, 1)
    values = tuple(-5.0 + 8.0 * (i / (n - 1)) ** power for i in range(n))
    formula = f"-5 + 8 (i / {n - 1})^{power:.3g}"
    return Along(values, p.shape.index(n), formula), f"the decays of RWKV, layer {does.layer} of {does.layers}"
