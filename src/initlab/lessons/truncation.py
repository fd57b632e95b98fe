"""The truncated normal distribution, and what frameworks mean by it."""

from __future__ import annotations

from math import sqrt

import numpy as np

from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Law, Normal, TruncatedNormal
from initlab.core.laws.draw import draw
from initlab.lessons.lesson import Formula, Lesson, Table, register_lesson, share
from initlab.report.drawing.text import number
from initlab.schemes import scheme

_SHAPE, _STD, _DEPTH = (256, 256), 0.02, 20


@register_lesson(title="Truncated normal: the std you get is not what you ask", aliases=("trunc-normal",))
def truncated_normal() -> Lesson:
    """Four laws under one name, drawn and measured."""
    p = ParamSpec(path="0/weight", shape=_SHAPE)
    laws: dict[str, Law] = {
        "normal, not cut": Normal(_STD),
        "keras, jax: TruncatedNormal": scheme("truncated_normal", std=_STD, dialect="keras")(p),
        "torch: trunc_normal_": scheme("truncated_normal", std=_STD, dialect="torch")(p),
        "keras, jax: he_normal": scheme("he_normal", dialect="keras")(p),
    }
    keys = ("normal", "keras", "torch", "he")
    asked = {"he": sqrt(2.0 / _SHAPE[1])}
    n = {"asked": _STD, "cut_std": TruncatedNormal(1.0).std(_SHAPE), "lost": TruncatedNormal(1.0).std(_SHAPE) ** 2}
    n["left"] = n["lost"] ** _DEPTH
    rows = []
    for (label, law), key in zip(laws.items(), keys, strict=True):
        values = np.float64(draw(law, _SHAPE, seed=0, path=p.path))
        want = asked.get(key, _STD)
        n |= {
            f"{key}_asked": want,
            f"{key}_std": law.std(_SHAPE),
            f"{key}_measured": float(values.std()),
            f"{key}_furthest": float(np.abs(values).max() / want),
        }
        rows.append((label, *(number(n[f"{key}_{part}"]) for part in ("asked", "std", "measured", "furthest"))))
    return Lesson(
        plain=(
            "One weight in twenty of a normal draw lies beyond two standard deviations, and in a large matrix a few "
            "lie beyond four. To avoid such outliers, frameworks cut the normal at two standard deviations and draw "
            "again. But what is cut off was the part that made it wide: the std that remains is "
            f"{number(n['cut_std'])} of the one asked for.",
            "It looks harmless. Yet it is the variance that counts, in every layer: "
            f"{share(n['lost'])} of it is left after one, and {number(n['left'])} after {_DEPTH} layers, if nothing "
            "makes up for it.",
            "Whether it is made up for depends on the name. he_normal, glorot_normal and lecun_normal of Keras and JAX "
            "are cut and then widened, so that the std is right. TruncatedNormal and truncated_normal of the same "
            f"frameworks are not: ask for {number(n['asked'])}, get {number(n['keras_std'])}. PyTorch's trunc_normal_ "
            "cuts at -2 and 2 themselves, not at two standard deviations: at a std of "
            f"{number(n['asked'])} that is no cut at all ({number(n['torch_std'])}). initlab's own he_normal is not "
            "cut; in its tables std always means the std that is drawn.",
        ),
        experiment=f"One matrix of {_SHAPE[0]} x {_SHAPE[1]} weights drawn under each name, seed 0.",
        table=Table(
            "Std asked for, std by law and std drawn; the furthest weight in units of what was asked for",
            ("what", "asked", "law", "drawn", "furthest"),
            tuple(rows),
        ),
        mathematics=(
            Formula(
                "std of a normal cut at +-k: sqrt(1 - 2 k phi(k) / erf(k / sqrt 2)); for k = 2 it is 0.8796",
                "Johnson, Kotz & Balakrishnan 1994, Continuous Univariate Distributions 1, section 13.10.1",
            ),
        ),
        numbers=n,
        tries=("initlab show truncated_normal",),
        see_also=("random", "framework-differences"),
    )
