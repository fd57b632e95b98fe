"""``auto``: the whole model at once, each weight by what the theory says of the chain or branch it stands in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt

from initlab.core.errors import InitlabError
from initlab.core.facts.fans import Dialect, fans
from initlab.core.facts.spec import Branch, ModelSpec, ParamSpec
from initlab.core.laws import Constant, Law, Normal, Orthogonal, Uniform
from initlab.schemes.base import register_scheme, scheme
from initlab.schemes.prediction import (
    CHAIN_ROLES,
    Candidate,
    Link,
    candidates,
    chains,
    feeds,
    heads_of,
    input_moment,
    is_claimed,
    is_registered,
    outputs_of,
)
from initlab.schemes.tables import direct_tables
from initlab.schemes.variance import gaussian, law_of_std, scaled_std
from initlab.theory import activation
from initlab.theory.chain import SCATTERED, Breach, Course, Limits, follow_chain, share_off
from initlab.theory.expectations import value_moments

# The share by which the first loss may exceed that of a net that tells nothing: ln K, or the targets' variance.
EXCESS_LOSS = 0.01
# Below it two different inputs are said to be nearly alike.
NEARLY_ALIKE = 0.01
# The share of draws that chance may spoil without a word.
RARE = 0.05
_ANY_WIDTH = Limits(deviations=0.0)


@dataclass(frozen=True)
class AutoPlan:
    """What ``auto`` chose for a model.

    Attributes:
        laws: By canonical path, for every parameter that is not left to the rule of its role.
        reasons: The same paths, with the reason.
        left: The paths of weights of whose input nothing is known, which stay as they are, with the reason.
        notes: Limits that nothing holds, with the layer at which they break and what would help.
    """

    laws: Mapping[str, Law]
    reasons: Mapping[str, str]
    notes: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)


@register_scheme(
    family="exact gain",
    formula="forward gain, backward gain or edge of chaos: the first that holds at the model's depth",
    source="Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232; "
    "Radford et al. 2019 for the 1/sqrt(depth) of residual branches",
    when="a whole model, of any depth and activation; plan(model, 'auto')",
    avoid="repeating a paper that names its scheme",
)
def auto(p: ParamSpec, *, dialect: Dialect | None = None) -> Law:
    """The law of one weight that stands alone: forward gain, and 1 / sqrt(2 L) where it ends one of L branches.

    A plan of a model does more: it looks at the chain the weight stands in, and at its depth.

    Args:
        p: A weight that knows ``f_in``.
        dialect: Keras and JAX truncate at two sigma and correct the std.

    Example:
        >>> round(auto(ParamSpec(shape=(64, 200), f_in="relu")).std((64, 200)), 12)      # He: sqrt(2 / 200)
        0.1
    """
    if p.role == "recurrent":
        return scheme("orthogonal")(p)
    if is_first_of_a_frequency(p):
        return _frequencies(p)
    return _law(p, _weight_scale(p) ** 2 / max(input_moment(p), p.carried or 0.0), dialect)


def auto_rules(
    model: ModelSpec, *, dialect: Dialect | None = None, kept: Callable[[ParamSpec], bool] = is_claimed
) -> AutoPlan:
    """Law and reason for each weight of a model, and notes where theory says that it will fail.

    Chains of hidden layers get the first candidate that keeps signal, gradient and correlation within
    ``initlab.theory.Limits``; the ends of residual branches are scaled by depth, by the scale of their last norm where
    they have one; the output layer starts with a small loss; embeddings give the residual stream or
    the layer that they feed variance 1.

    Args:
        model: Every parameter, in order of use.
        dialect: Keras and JAX truncate normal laws at two sigma and correct the std.
        kept: Whether a parameter is to stay as it is, so that nothing is built on it.

    Returns:
        The choice.

    Raises:
        UnknownNameError: An activation that is not registered.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> made = auto_rules(Mlp((4, 200, 200, 3)).spec())
        >>> made.laws["1/weight"].std((200, 200)).__round__(12), made.reasons["1/weight"]
        (0.1, 'auto: forward gain of relu')
    """
    alone = [chain for chain in chains(model, kept=kept) if chain[0].param.carried is None]
    choices = [(chain, *found) for chain in alone if (found := _choose(chain)) is not None]
    rows = _rows_alone(model, dialect)
    # Of a model that was not followed nobody knows whether its tables feed a stream.
    may_be_stream = model.fidelity == "declared" or any(p.branch is not None for p in model.params)
    tables, unsaid = _embeddings(model, dialect) if may_be_stream else direct_tables(model, kept=kept)
    rows |= tables
    for chain, candidate, _ in choices:
        rows |= _chain_rows(chain, candidate, dialect)
    for output in outputs_of(model):
        q = next((run.signals[-1].q for chain, _, run in choices if feeds(chain[-1].param, output)), 1.0)
        rows[output.path] = _output(output, q, dialect, added=_added(model, output, q))
    drawn = [choice for choice in choices if not all(kept(link.param) for link in choice[0])]
    notes = [note for chain, candidate, run in drawn for note in _notes(chain, candidate, run)]
    left = {p.path: _left(p) for p in model.params if p.is_weight and p.unfollowed}
    rows = {path: row for path, row in rows.items() if path not in left}
    laws = {path: law for path, (law, _) in rows.items()}
    reasons = {path: why for path, (_, why) in rows.items()}
    return AutoPlan(laws, reasons, (*notes, *unsaid, *_bare_norms(model)), left)


def _left(p: ParamSpec) -> str:
    return f"auto: the size of its input is not known, it is made by {p.unfollowed}"


def _rows_alone(model: ModelSpec, dialect: Dialect | None) -> dict[str, tuple[Law, str]]:
    """The rows of weights, and of the norms at the ends of branches, by what stands around each alone."""
    rows: dict[str, tuple[Law, str]] = {}
    for p in model.params:
        if p.tied_to is not None or p.size == 0:
            continue
        if p.role in CHAIN_ROLES and p.is_weight:
            rows[p.path] = auto(p, dialect=dialect), _alone(p)
        elif p.role == "recurrent" and p.is_weight:
            rows[p.path] = auto(p), "auto: orthogonal, so that no direction of the state grows or fades"
        elif p.role == "norm_scale" and p.branch is not None and p.branch.is_last:
            scale = branch_scale(p.branch)
            rows[p.path] = (
                Constant(scale),
                f"auto: {scale:.3g}, as this norm ends one of {p.branch.branches} residual branches",
            )
    return rows


def _choose(chain: Sequence[Link]) -> tuple[Candidate, Course] | None:
    """The first gain without a breach; else, of the edges of chaos without one, that which keeps inputs best apart.

    Where all have a breach, the one that gets deepest; None where no moment of the chain is finite.
    """
    followed: list[tuple[Candidate, Course]] = []
    for candidate in candidates(chain):
        try:
            course = follow_chain(candidate.layers)
        except InitlabError:  # the moments of a fast activation leave the range of the numbers
            continue
        if course.breach is None and not candidate.is_edge:
            return candidate, course
        followed.append((candidate, course))
    edges = [(candidate, course) for candidate, course in followed if course.breach is None]
    if edges:
        return min(edges, key=lambda found: found[1].signals[-1].correlation)
    return max(followed, key=lambda found: _depth(found[1])) if followed else None


def _depth(course: Course) -> int:
    return len(course.signals) if course.breach is None else course.breach.layer


def _chain_rows(chain: Sequence[Link], candidate: Candidate, dialect: Dialect | None) -> dict[str, tuple[Law, str]]:
    rows: dict[str, tuple[Law, str]] = {}
    for at, (link, layer) in enumerate(zip(chain, candidate.layers, strict=True)):
        p = link.param
        why = f"auto: {candidate.name}" + (f" of {p.f_in}" if at else "")
        if at == 0:
            why = f"{why}, reached from the input" if candidate.is_edge else _alone(p)
            why += f"; biases make {link.offset:.2g} of its variance" if link.offset and not candidate.is_edge else ""
        elif p.in_moment is not None:
            why += f", E[x^2] = {p.in_moment:.3g}"
        is_matrix = candidate.is_edge and p.role == "dense" and not (p.axes or p.blocks or p.groups > 1)
        law = Orthogonal(sqrt(layer.sigma_w2), widen=True) if is_matrix else _law(p, layer.sigma_w2, dialect)
        law = _frequencies(p) if is_first_of_a_frequency(p) else law
        rows[p.path] = law, why + (", orthogonal" if is_matrix else "")
        if link.bias is not None and layer.sigma_b2 > 0.0:
            is_offset = at == 0 and not candidate.is_edge
            takes = "no unit bends at 0 alone" if is_offset else f"{candidate.name} takes biases"
            rows[link.bias.path] = Normal(sqrt(layer.sigma_b2)), f"auto: {takes}"
    return rows


def _law(p: ParamSpec, sigma_w2: float, dialect: Dialect | None) -> Law:
    """A normal law of variance ``sigma_w2 / fan_in``, with the true fan-in in every dialect."""
    std = scaled_std(p, scale=sigma_w2, mode="fan_in", dialect=None) / (p.frequency or 1.0)
    return law_of_std(std, gaussian(dialect))


def is_first_of_a_frequency(p: ParamSpec) -> bool:
    """Whether a steep function takes what a weight makes of the network's own input.

    Its rows are the frequencies that the network starts with, from 0 to the factor, and no signal to be kept.

    Example:
        >>> is_first_of_a_frequency(ParamSpec(frequency=30.0)), is_first_of_a_frequency(ParamSpec(f_in="sin"))
        (True, False)
    """
    return p.frequency is not None and p.f_in is None and p.in_moment is None


def _frequencies(p: ParamSpec) -> Law:
    """``U(-1/n, 1/n)`` over ``n`` inputs (Sitzmann et al. 2020, arXiv:2006.09661, section 3.2)."""
    return Uniform(-1.0 / fans(p).fan_in, 1.0 / fans(p).fan_in)


def _alone(p: ParamSpec) -> str:
    if is_first_of_a_frequency(p):
        return f"auto: U(-1/n, 1/n), frequencies of {p.frequency:.4g} w (Sitzmann et al. 2020)"
    why = _of_its_input(p)
    if p.frequency is not None:
        why += f", over the factor {p.frequency:.4g} behind it"
    if p.branch is None or not p.branch.is_last:
        return why
    if p.branch.is_normed:
        return f"{why}; the norm behind it scales its branch"
    return f"{why}, times {branch_scale(p.branch):.3g} at the end of one of {p.branch.branches} residual branches"


def _of_its_input(p: ParamSpec) -> str:
    if p.carried is not None and p.carried > input_moment(p):
        return f"auto: gain {1.0 / sqrt(p.carried):.3g}, as at the start of the stream that gates let past it"
    if p.f_in is not None:
        why = f"auto: forward gain of {p.f_in}" + ("" if p.in_moment is None else f", E[x^2] = {p.in_moment:.3g}")
    else:
        why = f"auto: gain {1.0 / sqrt(input_moment(p)):.3g} on an input of E[x^2] = {input_moment(p):.3g}"
    return why


def _weight_scale(p: ParamSpec) -> float:
    """The part of a branch's scale that a weight takes: all of it, or none where a norm behind it would undo it."""
    return 1.0 if p.branch is None or not p.branch.is_last or p.branch.is_normed else branch_scale(p.branch)


def branch_scale(branch: Branch) -> float:
    """``1 / sqrt(2 L)`` for one of L branches: L branches of variance 1 take the stream from 1 to 3/2.

    Branches that end in an activation of mean m have sums of their own: ``L (1 - m^2) + L^2 m^2`` in place of L, for
    ``E f^2 = 1``, since their means add up.

    Example:
        >>> branch_scale(Branch(2, 2, branches=8, is_last=True))
        0.25
    """
    branches, mean2 = branch.branches, 0.0
    if branch.f_end is not None and is_registered(branch.f_end):
        value = value_moments(activation(branch.f_end), 1.0)
        mean2 = value.mean**2 / value.second
    return 1.0 / sqrt(2.0 * branches * (1.0 + (branches - 1) * mean2))


def _bare_norms(model: ModelSpec) -> list[str]:
    """What is to be said of branches that end in a norm without a scale of its own: nothing can scale them."""
    ends = [p for p in model.params if p.is_weight and p.branch is not None and p.branch.is_last and p.branch.is_normed]
    scaled = [p for p in model.params if p.role == "norm_scale" and p.branch is not None and p.branch.is_last]
    if not ends or scaled:
        return []
    branches = max(p.branch.branches for p in ends if p.branch is not None)
    return [
        f"auto: residual branches end in a norm without a scale of its own, so each of {branches} adds variance 1 to "
        "the stream: a norm with a scale would help"
    ]


def _added(model: ModelSpec, output: ParamSpec, q: float) -> float:
    """What the branches add to E[x^2] of an output's input.

    Each adds ``branch_scale`` squared; a branch that does not normalise its input adds as much more as that has grown.
    """
    branch = next((p.branch for p in model.params if p.branch is not None and p.branch.is_last), None)
    if branch is None or not output.summed:
        return 0.0
    scale, start = branch_scale(branch) ** 2, input_moment(output, q=q)
    first = [p for p in model.params if p.is_weight and p.branch is not None and p.branch.layer == 1]
    is_normed = all(p.f_in is None and p.in_moment is not None for p in first)
    grown = scale * output.summed if is_normed else start * ((1.0 + scale / start) ** output.summed - 1.0)
    return grown


def _output(p: ParamSpec, q: float, dialect: Dialect | None, *, added: float = 0.0) -> tuple[Law, str]:
    """A loss 1 % above that of equal guesses: ``E[CE] = ln K + s^2 / 2 (1 - 1 / K)`` for K logits of small std s.

    Behind a sigmoid each output is the difference of two logits: ``E[CE] = ln 2 + s^2 / 8``.
    """
    outputs = p.shape[0]
    std, loss = sqrt(EXCESS_LOSS), "the targets' variance"
    if p.f_out == "sigmoid":
        std, loss = sqrt(8.0 * EXCESS_LOSS * log(2.0)), "ln 2"
    elif outputs > 1:
        std, loss = sqrt(2.0 * EXCESS_LOSS * log(outputs) / (1.0 - 1.0 / outputs)), f"ln {outputs}"
    law = _law(p, std**2 / (input_moment(p, q=q) + added), dialect)
    return law, f"auto: outputs of std {std:.2g}, for a first loss 1 % above {loss}"


def _embeddings(model: ModelSpec, dialect: Dialect | None) -> tuple[dict[str, tuple[Law, str]], list[str]]:
    """Tables that alone feed a residual stream, each with its part of variance 1, or small where one is the head too.

    Tables beside a layer that feeds the stream keep the rule of their role.
    """
    first = next((p for p in model.params if p.role in CHAIN_ROLES and p.is_weight and p.tied_to is None), None)
    if first is None or first.branch is None:
        return {}, []
    width = first.shape[1] * first.groups  # a table of another width, as of attention's distances, feeds something else
    tables = [p for p in model.params if p.role == "embedding" and p.tied_to is None and p.shape[-1] == width]
    if not tables:
        return {}, []
    heads = heads_of(model)
    shared = next((p for p in tables if p.path in heads), None)
    if shared is not None:
        return _tied(tables, shared, heads[shared.path], first.branch, dialect)
    law = Normal(1.0 / sqrt(len(tables)))
    parts = "its table gives" if len(tables) == 1 else f"{len(tables)} tables together give"
    return {p.path: (law, f"auto: {parts} the residual stream variance 1") for p in tables}, []


def _tied(
    tables: Sequence[ParamSpec], shared: ParamSpec, head: ParamSpec, branch: Branch, dialect: Dialect | None
) -> tuple[dict[str, tuple[Law, str]], list[str]]:
    """All tables as the head's loss wants the one that it shares, and what that means for the stream."""
    law, why = _output(head, 1.0, dialect)
    std, branches = law.std(head.shape), branch.branches
    beside = f"auto: as '{shared.native or shared.path}' beside it, which is the head too"
    rows = {p.path: (law, why if p is shared else beside) for p in tables}
    note = (
        f"auto: a table that is also the head starts at std {std:.2g}, for a small first loss; unless a norm layer "
        f"follows, the residual stream starts at variance {len(tables) * std**2:.2g}, to which {branches} branches "
        "add up to 1/2: an untied head, or a norm behind the table, would start it at 1"
    )
    return rows, [note]


def _notes(chain: Sequence[Link], candidate: Candidate, course: Course) -> list[str]:
    first, last = chain[0].param, chain[-1].param
    span = f"the {len(chain)} layers from '{first.native or first.path}' to '{last.native or last.path}'"
    if course.breach is not None and course.breach.quantity in SCATTERED:
        course = follow_chain(candidate.layers, limits=_ANY_WIDTH)
    if course.breach is not None:
        at = chain[course.breach.layer - 1].param
        where = f"at layer {course.breach.layer} ('{at.native or at.path}') {_words(course.breach)}"
        return [f"auto: nothing holds {span}: {where}, with the {candidate.name}. {_help(chain)}"]
    notes = _scattered(chain, course, span)
    left = 1.0 - course.signals[-1].correlation
    if left < NEARLY_ALIKE:
        notes.append(
            f"auto: {span} make different inputs nearly alike, 1 - c = {left:.2g}: fewer layers, a norm layer, "
            "residual branches or another activation would help"
        )
    return notes


def _scattered(chain: Sequence[Link], course: Course, span: str) -> list[str]:
    """What is to be said of a chain that holds on average, and at its widths not in every draw."""
    first, last, ratio = course.signals[0], course.signals[-1], _ANY_WIDTH.ratio
    signal = share_off(last.q / first.q, last.scatter, ratio=ratio)
    gradient = share_off(last.gradient, last.gradient_scatter, ratio=ratio)
    share, what = max((signal, "E[z^2]"), (gradient, "the squared gradient"))
    if share < RARE:
        return []
    return [
        f"auto: at these widths chance puts {what} over {ratio:.3g} times off across {span} in {100 * share:.0f} % of "
        f"draws. {_help(chain, is_scattered=True)}"
    ]


def _words(breach: Breach) -> str:
    value = f"{breach.value:.2g}"
    return {
        "signal": f"E[z^2] is {value} times the first layer's",
        "gradient": f"the first layer's squared gradient is {value} times that of this layer",
        "correlation": f"different inputs have become alike, 1 - c = {value}",
    }[breach.quantity]


def _help(chain: Sequence[Link], *, is_scattered: bool = False) -> str:
    ways = ["a norm layer", "residual branches"]
    if any(link.centered for link in chain):
        ways[0] = "layer in place of batch normalisation"  # E f'^2 / E f^2 in place of E f'^2 / Var f
    elif any(link.normalised for link in chain):
        ways = ways[1:]
    if is_scattered:
        ways.append("wider layers")
    else:
        ways.append("another activation")
    if any(link.bias is None for link in chain) and not any(link.normalised for link in chain):
        ways.append("biases, for the edge of chaos,")
    return f"{', '.join(ways[:-1])} or {ways[-1]} would help".capitalize()
