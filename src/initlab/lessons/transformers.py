"""Transformers at their first step: the stream, attention, the embedding."""

from __future__ import annotations

from itertools import islice
from math import log, sqrt

import numpy as np

from initlab.lessons.lesson import Bars, Formula, Lesson, Table, register_lesson
from initlab.lessons.nets import Array, mean_cosine, noise
from initlab.lessons.streams import stream_of
from initlab.report.drawing.text import number
from initlab.theory import initial_cross_entropy, pre_norm_stream, token_cosines

BLOCKS, TOKENS, WIDTH = 12, 64, 64
_VOCABULARY, _MODEL = 1000, 512


def attention_cosines(layers: int, *, skip: bool, draws: int = 4) -> tuple[float, ...]:
    """The mean cosine of two tokens behind 0, 1, ... layers of attention, each behind a layer norm.

    Args:
        layers: How many.
        skip: Whether each layer adds to its input.
        draws: How many times the weights are drawn.
    """
    return tuple(np.mean([_one_stack(layers, seed, skip=skip) for seed in range(draws)], axis=0).tolist())


def _one_stack(layers: int, seed: int, *, skip: bool) -> list[float]:
    x = noise((TOKENS, WIDTH), "tokens", seed=seed)
    cosines = [mean_cosine(x)]
    for layer in range(layers):
        q, k, v = noise((3, WIDTH, WIDTH), f"attention/{layer}", seed=seed) / sqrt(WIDTH)
        unit = _unit(x)
        logits = (unit @ q) @ (unit @ k).T / sqrt(WIDTH)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        mixed = (raised / raised.sum(axis=1, keepdims=True)) @ (unit @ v)
        x = x + mixed if skip else mixed
        cosines.append(mean_cosine(x))
    return cosines


def _unit(x: Array) -> Array:
    unit: Array = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    return unit


@register_lesson(title="Transformers: the stream, attention, the embedding", aliases=("transformer", "gpt"))
def transformers() -> Lesson:
    """Stream growth with and without scaling, token likeness, and the first loss by embedding scale."""
    branches = 2 * BLOCKS
    plain = stream_of("he_normal", depth=branches, width=64, normed=True)
    scaled = stream_of("he_normal", depth=branches, width=64, normed=True, branch_scale=branches**-0.5)
    bare, road = attention_cosines(6, skip=False), attention_cosines(6, skip=True)
    theory = tuple(islice(token_cosines(TOKENS, logit_variance=1.0), 7))
    n = {
        "branches": float(branches),
        "stream": plain.signal[-1],
        "stream_theory": pre_norm_stream(branches)[-1].q,
        "scaled": scaled.signal[-1],
        "scaled_theory": pre_norm_stream(branches, branch_variance=1.0 / branches)[-1].q,
        "cosine_1": bare[1],
        "cosine_1_theory": theory[1],
        "cosine_2": bare[2],
        "cosine_2_theory": theory[2],
        "cosine_skip": road[-1],
        "guess": log(_VOCABULARY),
        "loss_wide": _tied_loss(1.0),
        "loss_wide_theory": initial_cross_entropy(_VOCABULARY, float(_MODEL)).mean,
        "loss_small": _tied_loss(0.02),
        "loss_small_theory": initial_cross_entropy(_VOCABULARY, 0.02**2 * _MODEL).mean,
    }
    return Lesson(
        plain=(
            "A transformer is a long residual stream. Each block adds two things to it, what attention gathered and "
            f"what the feed-forward part computed, so {BLOCKS} blocks add {branches} branches. With a norm in front of "
            f"each branch every one adds about the same variance: the stream grows from 1 to {number(n['stream'])}. "
            "GPT-2 therefore draws the last weight of each branch smaller by sqrt(2 x blocks); then it ends at "
            f"{number(n['scaled'])}. A port can lose that factor without an error message, so measure it.",
            "Attention takes weighted means of tokens, and means make things alike. Without skip paths two unrelated "
            f"tokens have a cosine of {number(n['cosine_1'])} after one layer and {number(n['cosine_2'])} after two: "
            "nearly one token, and no later layer parts them. With skip paths it is "
            f"{number(n['cosine_skip'])} after six.",
            "The embedding is often used twice, to read words and to score them. Drawn from N(0, 1), PyTorch's "
            f"default, its scores have variance {_MODEL}, and the first loss is {number(n['loss_wide'])} where a guess "
            f"among {_VOCABULARY} words costs {number(n['guess'])}. Drawn from N(0, 0.02^2) it is "
            f"{number(n['loss_small'])}.",
        ),
        experiment=(
            f"A stream of {branches} normed branches of 64 units; attention of one head over {TOKENS} tokens of width "
            f"{WIDTH}, query, key and value of variance 1 / {WIDTH}; a tied table of {_VOCABULARY} words of width "
            f"{_MODEL} behind a norm, with random labels."
        ),
        table=Table(
            "A transformer at its first step",
            ("what", "theory", "measured"),
            (
                (f"E x^2 behind {branches} branches", number(n["stream_theory"]), number(n["stream"])),
                (f"the same, each / sqrt({branches})", number(n["scaled_theory"]), number(n["scaled"])),
                ("cosine of tokens, 1 layer", number(n["cosine_1_theory"]), number(n["cosine_1"])),
                ("cosine of tokens, 2 layers", number(n["cosine_2_theory"]), number(n["cosine_2"])),
                ("first loss, table N(0, 1)", number(n["loss_wide_theory"]), number(n["loss_wide"])),
                ("first loss, table N(0, 0.02^2)", number(n["loss_small_theory"]), number(n["loss_small"])),
            ),
        ),
        bars=Bars(
            "1 - cosine of two tokens by layer",
            {
                "without skip": tuple(max(1.0 - c, 1e-12) for c in bare),
                "with skip": tuple(1.0 - c for c in road),
            },
        ),
        mathematics=(
            Formula("q_l = q_0 + v l behind l normed branches", "Xiong et al. 2020, arXiv 2002.04745"),
            Formula(
                "std 0.02 / sqrt(2 L) for the weights that end a branch",
                "Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.3",
            ),
            Formula(
                "c' = (c + (1 - c) / T) / (c + (1 - c) E sum a^2), and 1 - c falls doubly exponentially",
                "Dong, Cordonnier & Loukas 2021, arXiv 2103.03404, on rank collapse",
            ),
        ),
        numbers=n,
        tries=("initlab theory gelu",),
        see_also=("residual", "normalisation", "when-zero-is-right"),
    )


def _tied_loss(std: float) -> float:
    """The cross entropy, in nats, of scores from a table of normal entries against labels they know nothing of."""
    table = std * noise((_VOCABULARY, _MODEL), "embedding")
    logits = _unit(noise((256, _MODEL), "hidden")) @ table.T
    labels = np.arange(256) * 3
    top = logits.max(axis=1)
    return float(np.mean(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - logits[np.arange(256), labels]))
