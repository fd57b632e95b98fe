"""How to choose, and how to get the same numbers again."""

from __future__ import annotations

import numpy as np

from initlab.core.facts.arch import Mlp
from initlab.core.laws import Normal
from initlab.core.laws.draw import draw
from initlab.lessons.lesson import Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import deep, drawn
from initlab.lessons.training import Descent, Rows, digits, train
from initlab.report.drawing.text import number

SEEDS, DEEP = 4, 10
_SCHEMES = ("lecun_normal", "glorot_normal", "he_normal")


@register_lesson(
    title="Trade-offs: what to choose, and how sure to be",
    aliases=("choosing", "seeds", "generalisation", "generalization", "overfitting"),
)
def trade_offs() -> Lesson:
    """Three good schemes in a shallow and a deep net, over seeds; and inputs of a wrong scale."""
    shallow, thick = Mlp((64, 64, 10), activation="relu"), deep(DEEP, 64, "relu")
    n: dict[str, float] = {"seeds": float(SEEDS)}
    rows = []
    for call in _SCHEMES:
        key = call.removesuffix("_normal")
        cells = [call]
        for net, name, rate in ((shallow, "shallow", 0.05), (thick, "deep", 0.02)):
            scores = [
                train(net, digits(), drawn(net, call, seed=seed), Descent(rate=rate, epochs=4, seed=seed)).test_accuracy
                for seed in range(SEEDS)
            ]
            n |= {
                f"{key}_{name}": float(np.mean(scores)),
                f"{key}_{name}_low": min(scores),
                f"{key}_{name}_high": max(scores),
            }
            cells += [share(n[f"{key}_{name}"]), f"{share(min(scores))} to {share(max(scores))}"]
        rows.append(tuple(cells))
    data = digits()
    loud = Rows(10.0 * data.x, data.y, 10.0 * data.x_test, data.y_test, data.classes)
    start = drawn(shallow, "he_normal")
    n["loss_scaled"] = train(shallow, data, start, Descent(epochs=0)).losses[0]
    n["loss_raw"] = train(shallow, loud, start, Descent(epochs=0)).losses[0]
    n["gap_shallow"] = max(n[f"{k}_shallow"] for k in ("lecun", "glorot", "he")) - min(
        n[f"{k}_shallow"] for k in ("lecun", "glorot", "he")
    )
    n["spread_shallow"] = n["he_shallow_high"] - n["he_shallow_low"]
    return Lesson(
        plain=(
            "Start from the activation: he_normal for ReLU and its relatives, glorot or lecun for tanh and sigmoid, "
            "lecun for SELU, and for GELU and SiLU a norm layer beside any of them. Then look at the depth. With one "
            f"or two hidden layers the choice among good schemes hardly counts: the means of the three lie within "
            f"{share(n['gap_shallow'])} of the test digits, while he_normal alone differs by "
            f"{share(n['spread_shallow'])} of them from seed to seed. In {DEEP} layers it decides: "
            f"{share(n['lecun_deep'])} against {share(n['he_deep'])}.",
            "So never compare two schemes by one run each. Take several seeds, the same for both, give each its own "
            "learning rate, and look at the differences pair by pair. initlab compare does that (a grid of rates by "
            "--learning-rates), and says how sure the answer is.",
            "The rules assume inputs of variance 1, so scale the data first. With inputs ten times as large the "
            f"same net starts at a loss of {number(n['loss_raw'])} instead of {number(n['loss_scaled'])}. Wide layers "
            "follow the theory closely, narrow ones stray from it, and more so with depth. A much larger "
            "start fits the training rows sooner and tends to do a little worse on others; dropout shifts the right "
            "scale. Cost hardly enters: the weights are drawn once, and only orthogonal matrices take more than one "
            "pass over memory.",
        ),
        experiment=(
            f"Digits, ReLU nets of 1 and of {DEEP} hidden layers of 64 units, 4 epochs with steps of 0.05 and 0.02, "
            f"{SEEDS} seeds for weights and batches."
        ),
        table=Table(
            f"Accuracy on the test digits: mean, and lowest to highest of {SEEDS} seeds",
            ("start", "1 layer", "from to", f"{DEEP} layers", "from to"),
            tuple(rows),
        ),
        mathematics=(
            Formula(
                "differences of pairs with equal seeds: their standard error lacks what both share",
                "paired comparison; Bouthillier et al. 2021, arXiv 2103.03098, on variance in benchmarks",
            ),
            Formula("a net strays with b = sum of 1 / width", "Hanin & Rolnick 2018, arXiv 1803.01719"),
        ),
        numbers=n,
        tries=("initlab compare iris --seeds 20", "initlab list schemes"),
        see_also=("he", "normalisation", "regularisation", "reproducibility"),
    )


@register_lesson(title="Random, and yet the same weights everywhere", aliases=("seed", "draws"))
def reproducibility() -> Lesson:
    """Counts equal weights when things change around them."""
    net, longer = Mlp((64, 64, 64, 10)), Mlp((64, 64, 64, 64, 10))
    first, again, other = (
        drawn(net, "he_normal", seed=7),
        drawn(net, "he_normal", seed=7),
        drawn(net, "he_normal", seed=8),
    )
    grown = drawn(longer, "he_normal", seed=7)
    whole = draw(Normal(1.0), (300, 200), seed=7, path="0/weight")
    part = draw(Normal(1.0), (300, 200), seed=7, path="0/weight", index=(slice(100, 120), slice(None)))
    runs = [train(net, digits(), drawn(net, "he_normal", seed=7), Descent(epochs=2)).losses[-1] for _ in range(2)]
    n = {
        "again": _equal(first["1/weight"], again["1/weight"]),
        "other_seed": _equal(first["1/weight"], other["1/weight"]),
        "grown": _equal(first["1/weight"], grown["1/weight"]),
        "part": _equal(np.asarray(whole[100:120], np.float64), np.asarray(part, np.float64)),
        "generator": _one_generator(),
        "training": abs(runs[0] - runs[1]),
    }
    rows = (
        ("the same seed again", share(n["again"])),
        ("a layer added to the net", share(n["grown"])),
        ("rows 100 to 119 drawn alone", share(n["part"])),
        ("another seed", share(n["other_seed"])),
        ("one generator, a layer added before", share(n["generator"])),
    )
    return Lesson(
        plain=(
            "It is often said that random weights make training irreproducible. A computer's random numbers are "
            "computed from a seed, so the same seed gives the same numbers. What is lost in practice is not the seed "
            "but the order: with one generator for everything, each layer takes the numbers that the one before left. "
            f"Add a layer, and of the weights behind it {share(n['generator'])} are what they were.",
            "initlab draws by counter. Each weight has an address: seed, name of the parameter, place in it. A fixed "
            "function turns the address into the number. Nothing else enters, neither the order of the layers nor "
            f"their count, the number of threads nor the framework. With a layer added {share(n['grown'])} of the "
            "weights of the others are the same bits; rows of a matrix drawn alone equal those of the whole "
            f"({share(n['part'])}), which is what a net that is spread over machines needs.",
            f"Two trainings from the same seed on the same machine end with losses that differ by "
            f"{number(n['training'])}. Another seed changes everything ({share(n['other_seed'])} equal), and that is "
            "the point of it: report several.",
        ),
        experiment="ReLU nets of 64 units drawn with he_normal under seeds 7 and 8; digits for 2 epochs, twice.",
        table=Table("Share of weights that are equal, bit for bit", ("what changed", "equal"), rows),
        mathematics=(
            Formula(
                "weight i of a parameter = law(Philox4x32-10(key, counter)), key and counter from seed, name and i",
                "Salmon, Moraes, Dror & Shaw 2011, SC11, Parallel random numbers: as easy as 1, 2, 3",
            ),
        ),
        numbers=n,
        tries=("initlab compare iris --seeds 5",),
        see_also=("trade-offs", "framework-differences"),
    )


def _equal(
    a: np.ndarray[tuple[int, ...], np.dtype[np.float64]], b: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> float:
    return float((a == b).mean())


def _one_generator() -> float:
    """The share of equal weights in a matrix drawn last from one generator, when a matrix before it is added."""
    sizes = {"short": (1, 1), "long": (1, 1, 1)}
    last = {}
    for name, layers in sizes.items():
        generator = np.random.default_rng(7)
        for _ in layers:
            last[name] = generator.standard_normal((64, 64))
    return _equal(last["short"], last["long"])
