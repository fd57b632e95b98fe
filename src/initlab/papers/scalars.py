"""The scalars by which deep residual nets are held still: what they come to, as arithmetic at several depths."""

from __future__ import annotations

from collections.abc import Callable

from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.papers.figure import Figure
from initlab.papers.paper import Constants, Measured, near, register_paper
from initlab.recipes.book import recipe_plan
from initlab.theory import pre_norm_stream

DEPTHS = (1, 6, 12, 48, 100, 1000)
ROUNDING = "1e-12: rounding"


def _largest(found: Callable[[int], float], aim: float) -> float:
    """The largest distance to what is aimed at, over depths."""
    return max(abs(found(depth) - aim) for depth in DEPTHS)


def _by_depth(title: str, y: str, laws: dict[str, Callable[[int], float]]) -> Figure:
    lines = {label: [(float(n), law(n)) for n in DEPTHS] for label, law in laws.items()}
    return Figure(title, "Blocks", y, lines, log_x=True, log_y=True, note="lines: the formula at each depth")


@register_paper(
    "fixup2019-scalars",
    title="Fixup's scale, the (2m - 2)th root of 1/L",
    claim="With all but a branch's last layer scaled by the (2m - 2)th root of 1/L and that at zero, the first step "
    "changes each of L branches by 1/L, so the net by a constant.",
    citation="Zhang, Dauphin & Ma 2019, arXiv 1901.09321, rule 2 of Fixup",
    quoted="L^(-1/(2m-2)): L^(-1/2) for m = 2, L^(-1/4) for m = 3",
    checks=(
        near("two", "largest distance of L s^(2m-2) to 1, m = 2, over six depths", 0.0, 1e-12, ROUNDING, said="0"),
        near("three", "the same for m = 3", 0.0, 1e-12, ROUNDING, said="0"),
        near("quarter", "s at L = 16, m = 3", 0.5, 1e-12, ROUNDING),
    ),
    constants={"exponent": 2.0},
    breaks={"exponent": 1.0},
)
def fixup_scalars(c: Constants, seed: int) -> Measured:
    """The change of all branches together, L s^(2m - 2), by depth."""

    def scale(depth: int, layers: int) -> float:
        return float(depth ** (-1.0 / (c["exponent"] * (layers - 1))))

    def change(depth: int, layers: int) -> float:
        return float(depth * scale(depth, layers) ** (2 * layers - 2))

    laws: dict[str, Callable[[int], float]] = {
        "scale, m = 2": lambda n: scale(n, 2),
        "scale, m = 3": lambda n: scale(n, 3),
        "change of the net, m = 2": lambda n: change(n, 2),
        "change without a scale": lambda n: float(n),
    }
    numbers = {
        "two": _largest(lambda n: change(n, 2), 1.0),
        "three": _largest(lambda n: change(n, 3), 1.0),
        "quarter": scale(16, 3),
    }
    return Measured(numbers, _by_depth("Fixup keeps the first change of a net from growing", "Factor", laws))


@register_paper(
    "deepnorm2022-scalars",
    title="DeepNorm's α and β",
    claim="α = (2N)^(1/4) and β = (8N)^(-1/4) bound the first update of a post-norm transformer at every depth N.",
    citation="Wang, Ma, Dong, Huang, Zhang & Wei 2022, arXiv 2203.00555, figure 2, and the bound of the "
    "update, the sum over sublayers of (v² + w²)/α²",
    quoted="encoder only: α = (2N)^(1/4), β = (8N)^(-1/4); decoder of a translator: (3M)^(1/4), (12M)^(-1/4)",
    checks=(
        near("encoder", "largest distance of 2N · 2β²/α² to 1, over six depths", 0.0, 1e-12, ROUNDING, said="0"),
        near("decoder", "largest distance of 3M · 2β²/α² to 1", 0.0, 1e-12, ROUNDING, said="0"),
        near("alpha", "α at N = 8", 2.0, 1e-12, ROUNDING),
        near("beta", "β at N = 2", 0.5, 1e-12, ROUNDING),
    ),
    constants={"alpha_factor": 2.0, "beta_factor": 8.0},
    breaks={"beta_factor": 4.0},
)
def deepnorm_scalars(c: Constants, seed: int) -> Measured:
    """The bound by depth, with v = w = β in every sublayer."""

    def alpha(depth: int) -> float:
        return float((c["alpha_factor"] * depth) ** 0.25)

    def beta(depth: int) -> float:
        return float((c["beta_factor"] * depth) ** -0.25)

    def bound(depth: int) -> float:
        return 2 * depth * 2.0 * beta(depth) ** 2 / alpha(depth) ** 2

    def decoder(depth: int) -> float:
        return float(3 * depth * 2.0 * (12.0 * depth) ** -0.5 / (3.0 * depth) ** 0.5)

    laws: dict[str, Callable[[int], float]] = {
        "α": alpha,
        "β": beta,
        "bound of the update": bound,
        "bound at α = β = 1": lambda n: 4.0 * n,
    }
    numbers = {
        "encoder": _largest(bound, 1.0),
        "decoder": _largest(decoder, 1.0),
        "alpha": alpha(8),
        "beta": beta(2),
    }
    return Measured(numbers, _by_depth("DeepNorm's bound is the same at every depth", "Factor", laws))


@register_paper(
    "tfixup2020-scalars",
    title="T-Fixup's (9N)^(-1/4)",
    claim="Embeddings, values and projections scaled by (9N)^(-1/4) in a decoder of N layers hold its first update "
    "at one size.",
    citation="Huang, Perez, Ba & Volkovs 2020, Improving transformer optimization through better initialization, "
    "ICML, the scales of encoder and decoder",
    quoted="decoder (9N)^(-1/4), encoder 0.67 N^(-1/4)",
    checks=(
        near("decoder", "largest distance of 9N v⁴ to 1, over six depths", 0.0, 1e-12, ROUNDING, said="0"),
        near("encoder", "largest distance of N v⁴ to 0.67⁴ in an encoder", 0.0, 1e-12, ROUNDING, said="0"),
        near("six", "the decoder's scale at N = 6", 54.0**-0.25, 1e-12, ROUNDING),
    ),
    constants={"decoder": 9.0, "encoder": 0.67, "root": 4.0},
    breaks={"root": 2.0},
)
def tfixup_scalars(c: Constants, seed: int) -> Measured:
    """N v^4 by depth, which is the change that N branches make together where their input is scaled too."""

    def decoder(depth: int) -> float:
        return float((c["decoder"] * depth) ** (-1.0 / c["root"]))

    def encoder(depth: int) -> float:
        return float(c["encoder"] * depth ** (-1.0 / c["root"]))

    laws: dict[str, Callable[[int], float]] = {
        "decoder's scale": decoder,
        "encoder's scale": encoder,
        "9N v⁴, decoder": lambda n: 9.0 * n * decoder(n) ** 4,
    }
    numbers = {
        "decoder": _largest(lambda n: 9.0 * n * decoder(n) ** 4, 1.0),
        "encoder": _largest(lambda n: n * encoder(n) ** 4, 0.67**4),
        "six": decoder(6),
    }
    return Measured(numbers, _by_depth("T-Fixup's scales by depth", "Factor", laws))


def _gpt2_spec(layers: int, width: int) -> ModelSpec:
    """Names and shapes of GPT-2's weights."""
    shapes = {"attn.c_attn": (3 * width, width), "attn.c_proj": (width, width)}
    shapes |= {"mlp.c_fc": (4 * width, width), "mlp.c_proj": (width, 4 * width)}
    rows = [ParamSpec(f"h.{layer}.{name}.weight", shape) for layer in range(layers) for name, shape in shapes.items()]
    embedding = ParamSpec("wte.weight", (97, width), role="embedding")
    return ModelSpec((embedding, *rows))


@register_paper(
    "gpt2-residual-scale",
    title="GPT-2's 0.02/sqrt(2L)",
    claim="Dividing the weights that write into the residual stream by sqrt(2L) keeps its growth from hanging on L.",
    citation="Radford et al. 2019, Language models are unsupervised multitask learners, section 2.3 (1/sqrt(N), N the "
    "number of residual layers)",
    quoted="1/sqrt(N), with N = 2L residual layers: 0.02/sqrt(24) = 0.0040825 at L = 12",
    checks=(
        near("std", "std of h.*.c_proj as the recipe gpt2 plans it, L = 12", 0.02 / 24.0**0.5, 1e-9, ROUNDING),
        near("others", "std of all other weights", 0.02, 1e-12, ROUNDING),
        near("stream", "largest distance of the stream's E x² to 2, L = 1 to 1000", 0.0, 1e-9, ROUNDING, said="0"),
    ),
    constants={"layers": 12, "branches": 2.0},
    breaks={"branches": 1.0},
)
def gpt2_scale(c: Constants, seed: int) -> Measured:
    """The recipe's plan, and theory's stream where each branch adds 1/(2L)."""
    plan = recipe_plan(_gpt2_spec(int(c["layers"]), 48), "gpt2")
    stds = {e.param.path: e.law.std(e.param.shape) for e in plan.entries if e.law is not None}
    last = [std for path, std in stds.items() if "c_proj" in path]
    rest = [std for path, std in stds.items() if "c_proj" not in path]

    def stream(depth: int, *, scaled: bool = True) -> float:
        branches = 2 * depth
        added = 1.0 / (c["branches"] * depth) if scaled else 1.0
        return pre_norm_stream(branches, branch_variance=added)[-1].q

    laws: dict[str, Callable[[int], float]] = {
        "scaled by 1/sqrt(2L)": stream,
        "not scaled": lambda n: stream(n, scaled=False),
    }
    numbers = {
        "std": max(last, key=lambda s: abs(s - 0.02 / 24.0**0.5)),
        "others": max(rest, key=lambda s: abs(s - 0.02)),
        "stream": _largest(stream, 2.0),
    }
    return Measured(numbers, _by_depth("The residual stream of GPT-2 by depth", "E x² at the end", laws))
