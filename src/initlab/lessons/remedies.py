"""What mends a deep net beside its first weights: normalisation, skip connections, clipping."""

from __future__ import annotations

from initlab.core.facts.arch import Norm
from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson, share
from initlab.lessons.nets import deep, drawn, gaussian, profile
from initlab.lessons.streams import stream_of
from initlab.lessons.training import Descent, digits, train
from initlab.report.drawing.text import number
from initlab.theory import batch_norm_factor, layer_norm_factor, pre_norm_stream, residual_growth, residual_stream

DEPTH, WIDTH, ROWS = 20, 100, 24
# Largest norm of a clipped gradient.
_LIMIT = 0.3


@register_lesson(
    title="Batch and layer norm, and what is left to choose",
    aliases=("batch-norm", "layer-norm", "normalization", "covariate-shift", "internal-covariate-shift"),
)
def normalisation() -> Lesson:
    """Signal and gradient with and without norms, at a scale that is wrong on purpose."""
    cases: tuple[tuple[str, str, str, Norm, float], ...] = (
        ("relu_none", "ReLU, no norm", "relu", "none", 0.2),
        ("relu_batch", "ReLU, batch norm", "relu", "batch", 0.2),
        ("relu_layer", "ReLU, layer norm", "relu", "layer", 0.2),
        ("tanh_layer", "tanh, layer norm", "tanh", "layer", 0.2),
    )
    theory = {
        "relu_none": 0.2**2 * WIDTH / 2.0,
        "relu_batch": batch_norm_factor("relu", batch=ROWS),
        "relu_layer": layer_norm_factor("relu"),
        "tanh_layer": layer_norm_factor("tanh"),
    }
    n: dict[str, float] = {"std": 0.2}
    rows, lines = [], {}
    for key, label, act, norm, std in cases:
        means = profile(deep(DEPTH, WIDTH, act, norm=norm), f"normal(std={std})", rows=ROWS)
        n |= {
            f"{key}_signal": means.signal[-1],
            f"{key}_gradient": means.gradient_ratio,
            f"{key}_factor": means.gradient_ratio ** (1.0 / (DEPTH - 1)),
            f"{key}_theory": theory[key],
        }
        lines[label] = means.gradient
        rows.append((label, *(number(n[f"{key}_{part}"]) for part in ("signal", "gradient", "factor", "theory"))))
    n |= _scale_and_step()
    return Lesson(
        plain=(
            "A norm layer takes the sums of a layer and brings them to mean 0 and variance 1: batch norm each unit "
            "over the rows of a batch, layer norm each row over its units. Whatever scale the weights have, the signal "
            f"behind the norm is right. With weights of std {number(n['std'])}, twice the variance that ReLU asks "
            f"for, z^2 reaches {number(n['relu_none_signal'])} in {DEPTH} plain layers and "
            f"{number(n['relu_batch_signal'])} with batch norm.",
            "So the forward pass is safe. The gradient is another matter. Layer norm with ReLU keeps it: factor "
            f"{number(n['relu_layer_factor'])} a layer. Batch norm with ReLU multiplies it by "
            f"{number(n['relu_batch_factor'])} a layer (theory {number(n['relu_batch_theory'])}), whatever the size of "
            f"its independent random weights, {number(n['relu_batch_gradient'])} times over {DEPTH} layers. With tanh, "
            f"layer norm gives {number(n['tanh_layer_factor'])}. No size of such weights changes that; skip "
            "connections do.",
            "The scale is not without effect either. Weights ten times as large give the same outputs behind a norm, "
            "but gradients ten times as small. A step that was right is now a hundred times too short, relative to "
            f"the weights: after 3 epochs the loss is {number(n['loss_1'])} from he_normal, "
            f"{number(n['loss_10'])} from weights ten times as large. Behind norm layers the first scale acts like "
            "a learning rate. It does not decide whether a signal arrives.",
        ),
        experiment=(
            f"{DEPTH} hidden layers of {WIDTH} units, weights N(0, {number(n['std'])}^2), batches of {ROWS} rows, "
            "geometric mean over 6 draws. Training: digits, 2 layers of 64 with batch norm, steps of 0.05, 3 epochs."
        ),
        table=Table(
            "z^2 at the last layer; squared gradient, first layer over last; its factor a layer",
            ("net", "z^2", "gradient", "factor", "theory"),
            tuple(rows),
        ),
        bars=Bars("Squared gradient by layer, first to last", lines),
        mathematics=(
            Formula(
                "batch norm: factor E f'^2 / Var f >= 1, pi / (pi - 1) for ReLU, times (B - 2) / (B - 3) for B rows",
                "Yang, Pennington, Rao, Sohl-Dickstein & Schoenholz 2019, arXiv 1902.08129; Gaussian Poincare "
                "inequality",
            ),
            Formula("layer norm: E f'^2 / E f^2: 1 for ReLU, above 1 for tanh and GELU", "chi_1 at the forward gain"),
            Formula(
                "f(c w) = f(w) for every c > 0, so the gradient at c w is 1 / c of that at w, and a step relative to w "
                "1 / c^2",
                "van Laarhoven 2017, arXiv 1706.05350",
            ),
        ),
        numbers=n,
        tries=("initlab theory relu",),
        see_also=("residual", "textbook-errors", "rules-of-thumb"),
    )


def _scale_and_step() -> dict[str, float]:
    """The loss of a batch-normed net after 3 epochs, from He's weights and from ten times as large ones."""
    net = deep(2, 64, "relu", norm="batch")
    start = drawn(net, "he_normal")
    found = {}
    for factor in (1, 10):
        scaled = {
            path: w * factor if path.endswith("/weight") and not path.startswith("2/") else w
            for path, w in start.items()
        }
        found[f"loss_{factor}"] = train(net, digits(), scaled, Descent(rate=0.05, epochs=3)).losses[-1]
    return found


@register_lesson(title="Residual connections: a road past every layer", aliases=("resnet", "skip-connections"))
def residual() -> Lesson:
    """Streams of ReLU and tanh blocks at several scales."""
    small = DEPTH**-0.5
    cases = {
        "no skip path": ("plain", {"skip_scale": 0.0}, "relu", "he_normal"),
        "x + F": ("one", {}, "relu", "he_normal"),
        "x + F / sqrt(L)": ("root", {"branch_scale": small}, "relu", "he_normal"),
        "(x + F) / sqrt(2)": ("half", {"branch_scale": 0.5**0.5, "skip_scale": 0.5**0.5}, "relu", "he_normal"),
        "x + F, tanh": ("tanh", {}, "tanh", "glorot_normal"),
        "x + F(norm x)": ("prenorm", {"normed": True}, "relu", "he_normal"),
    }
    small_start = "variance_scaling(scale=1.0, distribution=normal)"
    weak = stream_of(small_start, depth=DEPTH, skip_scale=0.0)
    weak_skip = stream_of(small_start, depth=DEPTH)
    pre = pre_norm_stream(DEPTH)[-1]
    tanh = residual_stream("tanh", DEPTH, sigma_w2=1.0)[-1]
    theory = {
        "plain": (1.0, 1.0),
        "one": (residual_growth(DEPTH),) * 2,
        "root": (residual_growth(DEPTH, branch_scale=small),) * 2,
        "half": (1.0, 1.0),
        "tanh": (tanh.q, tanh.gradient),
        "prenorm": (pre.q, pre.gradient),
    }
    n: dict[str, float] = {"depth": float(DEPTH)}
    rows, lines = [], {}
    for label, (key, options, act, call) in cases.items():
        found = stream_of(call, act=act, depth=DEPTH, **options)
        n |= {
            f"{key}_signal": found.signal[-1],
            f"{key}_gradient": found.gradient[0],
            f"{key}_signal_theory": theory[key][0],
            f"{key}_gradient_theory": theory[key][1],
        }
        lines[label] = found.signal
        parts = ("signal", "signal_theory", "gradient", "gradient_theory")
        rows.append((label, *(number(n[f"{key}_{part}"]) for part in parts)))
    n |= {"weak_gradient": weak.gradient[0], "weak_skip_gradient": weak_skip.gradient[0]}
    return Lesson(
        plain=(
            "A residual block gives out its input plus what it computed from it: x + F(x). Forwards the input goes "
            "past the layer untouched; backwards the gradient does. However weak the layer, something gets through. "
            f"ReLU layers with half of He's variance leave {number(n['weak_gradient'])} of the squared gradient over "
            f"{DEPTH} layers; with a skip path it is {number(n['weak_skip_gradient'])} times, and vanishing is over.",
            "The price is growth. Each block adds its own variance to the stream. With He's weights the block adds as "
            f"much as is there, so the variance doubles: {number(n['one_signal'])} after {DEPTH} blocks, and the "
            "gradient with it. The skip path mends vanishing and brings exploding, so a residual net wants smaller "
            "branches than a plain one.",
            f"Three ways are in use. Scale the branch by 1 / sqrt(L): {number(n['root_signal'])}, never above e = 2.72 "
            f"however deep. Divide the sum by sqrt(2): {number(n['half_signal'])}. Or normalise what the branch reads: "
            f"then each block adds the same amount and the variance grows linearly, to {number(n['prenorm_signal'])}. "
            "A fourth is to start the last layer of each branch at zero, and let training decide.",
        ),
        experiment=(
            f"Blocks x + a W f(x) of {WIDTH} units, {DEPTH} of them, inputs of variance 1, geometric mean over 6 draws."
        ),
        table=Table(
            f"E x^2 behind {DEPTH} blocks; squared gradient at the first over that at the last",
            ("block", "E x^2", "theory", "gradient", "theory"),
            tuple(rows),
        ),
        bars=Bars("E x^2 by block", lines),
        mathematics=(
            Formula(
                "q_(l+1) = s^2 q_l + a^2 V(q_l); gradient factor s^2 + a^2 chi_1; He's ReLU: (s^2 + a^2)^L",
                "Yang & Schoenholz 2017, arXiv 1712.08969; weights of mean zero make the two parts add",
            ),
            Formula("(1 + 1 / L)^L < e", "definition of e"),
            Formula("pre-norm: q_l = q_0 + v l, gradient like L^(chi / v)", "Xiong et al. 2020, arXiv 2002.04745"),
        ),
        numbers=n,
        tries=("initlab compare depth --remedies --seeds 3",),
        see_also=("when-zero-is-right", "transformers", "normalisation"),
    )


@register_lesson(title="Gradient clipping: a belt, not a cure", aliases=("gradient-clipping", "clip"))
def clipping() -> Lesson:
    """A net that explodes and one that vanishes, each with and without clipping."""
    net, sick = deep(8, 64, "relu"), deep(8, 64, "sigmoid")
    cases = {
        "explodes": ("loud", net, gaussian(6.0), None),
        "explodes, clipped": ("loud_clipped", net, gaussian(6.0), _LIMIT),
        "right scheme": ("he", net, "he_normal", None),
        "vanishes": ("faint", sick, "glorot_normal", None),
        "vanishes, clipped": ("faint_clipped", sick, "glorot_normal", _LIMIT),
    }
    runs = {
        label: train(arch, digits(), drawn(arch, call), Descent(rate=0.05, epochs=6, clip=clip))
        for label, (_, arch, call, clip) in cases.items()
    }
    n: dict[str, float] = {"limit": _LIMIT, "diverged_step": float(runs["explodes"].diverged_at)}
    rows = []
    for label, (key, *_) in cases.items():
        run = runs[label]
        n |= {f"{key}_start": run.losses[0], f"{key}_end": run.losses[-1], f"{key}_accuracy": run.test_accuracy}
        right = "–" if run.diverged_at else share(run.test_accuracy)
        rows.append((label, number(run.losses[0]), number(run.losses[-1]), right))
    del n["loud_end"], n["loud_accuracy"]  # it has none
    return Lesson(
        plain=(
            "Clipping looks at the length of the whole gradient before each step and, if it is above a limit, scales "
            "it down to the limit. The direction stays. So one wild gradient can no longer throw the weights away.",
            "It helps where gradients explode. A ReLU net at three times the right variance is NaN at step "
            f"{n['diverged_step']:.0f}; clipped at {_LIMIT} it stays finite and gets "
            f"{share(n['loud_clipped_accuracy'])} of the test digits. But the right scheme, without clipping, gets "
            f"{share(n['he_accuracy'])} in the same time. Clipping bounds the step; the net itself is still one whose "
            f"outputs change wildly with its weights, and whose loss started at {number(n['loud_clipped_start'])}.",
            "It does nothing where gradients vanish: it can shorten a step, never lengthen one. The deep sigmoid "
            f"net stays at {number(n['faint_end'])} without and {number(n['faint_clipped_end'])} with it. Use "
            "clipping for rare spikes, as in recurrent nets and transformers, on top of a start that is right.",
        ),
        experiment=(
            "Digits, 8 hidden layers of 64 units, ReLU with n Var w = 6 or he_normal, sigmoid with glorot_normal; "
            f"steps of 0.05, 6 epochs, clipped to a norm of {_LIMIT} where said."
        ),
        table=Table(
            "Loss before and after, and accuracy", ("net", "loss before", "loss after", "right on test"), tuple(rows)
        ),
        bars=Bars("Loss by epoch", {label: run.losses for label, run in runs.items() if not run.diverged_at}),
        mathematics=(
            Formula("g <- g min(1, c / |g|)", "Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, algorithm 1"),
        ),
        numbers=n,
        see_also=("exploding-gradients", "recurrent-nets", "he"),
    )
