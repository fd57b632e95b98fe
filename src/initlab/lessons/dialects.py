"""What PyTorch, Keras and JAX do under the same name."""

from __future__ import annotations

from typing import get_args

from initlab.core.facts.arch import Mlp
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Law
from initlab.lessons.lesson import Formula, Lesson, Table, register_lesson
from initlab.lessons.nets import profile
from initlab.report.drawing.text import number
from initlab.schemes import scheme

_SHAPE, _DEPTH = (128, 256), 10
_NAMES = ("normal", "uniform", "truncated_normal", "lecun_normal", "glorot_uniform", "he_normal", "he_uniform")
_DEFAULTS: dict[Dialect, str] = {"torch": "torch_default", "keras": "keras_default", "jax": "lecun_normal"}
_DIALECTS: tuple[Dialect, ...] = get_args(Dialect)


def laws_by_dialect() -> dict[str, dict[Dialect, Law]]:
    """The law of a dense weight of 256 inputs and 128 units under each name, by framework, defaults first.

    Example:
        >>> str(laws_by_dialect()["uniform"]["torch"])
        'U(0, 1)'
    """
    p = ParamSpec(path="0/weight", shape=_SHAPE)
    defaults = {dialect: scheme(call, dialect=dialect)(p) for dialect, call in _DEFAULTS.items()}
    named = {name: {dialect: scheme(name, dialect=dialect)(p) for dialect in _DIALECTS} for name in _NAMES}
    return {"default of Dense": defaults, **named}


@register_lesson(
    title="What PyTorch, Keras and JAX do under the same name",
    aliases=("frameworks", "torch", "keras", "jax", "defaults", "sqrt(5)", "kaiming-uniform"),
)
def framework_differences() -> Lesson:
    """The table of laws by name and framework, and a ReLU net under each default."""
    laws = laws_by_dialect()
    net = Mlp((256, *(128,) * _DEPTH, 10), activation="relu")
    calls = {"torch": "torch_default", "keras": "keras_default", "jax": "lecun_normal"}
    left = {dialect: profile(net, call, biases=0.0).output[-1] for dialect, call in calls.items()}
    n: dict[str, float] = {"fan_in": float(_SHAPE[1]), "fan_out": float(_SHAPE[0])}
    for name, by_dialect in laws.items():
        key = name.replace(" of Dense", "")
        n |= {f"{key}_{dialect}": law.std(_SHAPE) for dialect, law in by_dialect.items()}
    n |= {f"left_{dialect}": value for dialect, value in left.items()}
    return Lesson(
        plain=(
            "The same name does not mean the same numbers. `normal` without a std is 1 in PyTorch, 0.05 in Keras and "
            "0.01 in JAX. `uniform` is 0 to 1 in PyTorch, a law that has no negative weights at all, and 0 to 0.01 in "
            "JAX. `he_normal` has the same std everywhere, but Keras and JAX cut it at two standard deviations, and "
            "PyTorch does not.",
            "The defaults of a dense layer differ most. PyTorch draws uniform weights of variance 1 / (3 fan_in), a "
            "third of LeCun's, and biases by the same bound; Keras takes glorot_uniform, Flax lecun_normal. None of "
            f"them is made for ReLU. Behind {_DEPTH} ReLU layers E a^2 is {number(n['left_torch'])} with PyTorch's "
            f"default, {number(n['left_keras'])} with Keras' and {number(n['left_jax'])} with Flax'. In a PyTorch net "
            "most of what is left comes from the biases, which are the same for every input.",
            "So a result that was got in one framework is not repeated in another by writing the same name. initlab "
            'draws one law under one name everywhere, and the frameworks\' own forms when asked: dialect="keras" in '
            "Python, torch_default and keras_default as schemes.",
        ),
        experiment=(
            f"The law of a weight with {_SHAPE[1]} inputs and {_SHAPE[0]} units under each name; TN is a normal "
            f"cut at two stds. PyTorch's lecun_normal is kaiming_normal_ for a linear layer. And E a^2 behind {_DEPTH} "
            "ReLU layers of 128 units, geometric mean over 6 draws."
        ),
        table=Table(
            "std of a weight, by name and framework",
            ("name", "torch", "keras", "jax", "torch's law", "keras' law", "jax' law"),
            tuple(
                (name, *(number(by[d].std(_SHAPE)) for d in _DIALECTS), *(_short(by[d]) for d in _DIALECTS))
                for name, by in laws.items()
            ),
        ),
        mathematics=(
            Formula(
                "kaiming_uniform_ with a = sqrt(5): variance 2 / (1 + 5) / fan_in = 1 / (3 fan_in)",
                "PyTorch, torch/nn/modules/linear.py, Linear.reset_parameters",
            ),
            Formula(
                "Dense: glorot_uniform; variance_scaling cuts at two sigma and divides the std by 0.8796",
                "Keras 3, keras/src/layers/core/dense.py and random_initializers.py; jax/_src/nn/initializers.py",
            ),
        ),
        numbers=n,
        tries=("initlab show torch_default", "initlab show keras_default"),
        see_also=("truncated-normal", "he", "reproducibility"),
    )


def _short(law: Law) -> str:
    """A law's family with its mean where that is not zero."""
    words = {"truncated_normal": "TN", "normal": "N", "uniform": "U"}
    mean = law.mean(_SHAPE)
    return words.get(law.family, law.family) + (f", mean {mean:.3g}" if abs(mean) > 1e-12 else "")
