"""What the page takes from initlab: the numbers its numerics are held to, and its digits.

Writes ``tests/vectors.json`` and ``src/digits.js``; ``tests/web`` compares them with what initlab computes.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

import initlab
from initlab.core.draws.streams import stream
from initlab.core.laws import Constant, Normal, TruncatedNormal, Uniform
from initlab.core.training.protocol import Optimizer
from initlab.theory import activation, fixed_point, moments, pair_moment

FILE = Path(__file__).parent / "tests" / "vectors.json"
ACTIVATIONS = ["relu", "tanh", "sigmoid", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "identity"]
LAWS = {
    "normal": (Normal(0.7), {"family": "normal", "sigma": 0.7}),
    "uniform": (Uniform(-0.3, 0.45), {"family": "uniform", "low": -0.3, "high": 0.45}),
    "truncated": (TruncatedNormal(1.3), {"family": "truncated", "sigma": 1.3}),
}
NAMES = ((0, "weight"), (7, "0/weight"), (255, "12/bias"), (256, "größe/β/weight"), (2**64 + 5, "x" * 200))
MANY = 200_000  # enough that the far tail's branch is met


def draws() -> list[dict[str, Any]]:
    """Bits of draws: 40 entries in full, and the digest of many."""
    rows = []
    for law, described in LAWS.values():
        for seed, path in NAMES:
            values = initlab.draw(law, (41,), seed=seed, path=path, dtype="float64")
            rows.append(
                {"law": described, "seed": str(seed), "path": path, "bits": values.astype("<f8").tobytes().hex()}
            )
        many = initlab.draw(law, (MANY,), seed=3, path="many", dtype="float64").astype("<f8").tobytes()
        digest = hashlib.sha256(many).hexdigest()
        rows.append({"law": described, "seed": "3", "path": "many", "size": MANY, "sha256": digest})
    return rows


def theory() -> list[dict[str, Any]]:
    """Moments, pair moments and fixed points of every activation of the page."""
    rows = []
    for name in ACTIVATIONS:
        act = activation(name)
        qs, cs = (0.03, 1.0, 2.5, 40.0), (-0.4, 0.0, 0.3, 0.9)
        points = []
        for weight, bias in ((0.8, 0.1), (25 / 9, 0.0), (1.7609, 0.05), (4.0, 0.3)):
            try:
                found = fixed_point(act, sigma_w2=weight, sigma_b2=bias)
            except initlab.InitlabError:
                continue
            points.append([weight, bias, found.q_star, found.chi_1])
        told = [[q, m.mean, m.second, m.slope_second] for q in qs for m in [moments(act, q)]]
        pairs = [[c, q, pair_moment(act, c, q)] for q in (0.5, 1.5) for c in cs]
        rows.append({"activation": name, "moments": told, "pairs": pairs, "points": points})
    return rows


def laws() -> list[dict[str, Any]]:
    """The std of each scheme's weights and biases, by layer."""
    named = {
        "he_normal": "he_normal", "he_uniform": "he_uniform", "glorot_normal": "glorot_normal",
        "glorot_uniform": "glorot_uniform", "lecun_normal": "lecun_normal", "exact_gain_normal": "exact_gain_normal",
        "torch_default": "torch_default", "normal": "normal(std=0.05)", "standard": "normal(std=1.0)",
        "truncated_normal": "truncated_normal(std=0.05)", "constant": "constant(value=0.05)", "zeros": "zeros",
    }  # fmt: skip
    spec = initlab.Mlp((3, 7, 5, 2), activation="gelu").spec()
    rows = []
    for page, name in named.items():
        found = initlab.scheme(name)
        weights, biases = [], []
        for p in spec.params:
            law = found(p) if p.role != "bias" or name == "torch_default" else Constant(0.0)
            (biases if p.role == "bias" else weights).append([law.mean(p.shape), law.std(p.shape)])
        rows.append({"scheme": page, "weights": weights, "biases": biases})
    return rows


def training(cases: int | None = None) -> list[dict[str, Any]]:
    """Loss, gradient and 20 steps of initlab's own forward pass, in float64 by JAX; of so many cases."""
    import jax

    with jax.enable_x64(True):
        return [_trained(jax, **case) for case in CASES[:cases]]


CASES: tuple[dict[str, Any], ...] = (
    {"activation": "tanh", "optimizer": "adam", "rate": 0.01},
    {"activation": "relu", "optimizer": "sgd", "rate": 0.2, "norm": "batch"},
    {"activation": "gelu", "optimizer": "momentum", "rate": 0.05, "norm": "layer", "residual": True},
    {"activation": "silu", "optimizer": "adam", "rate": 0.003, "residual": True},
    {"activation": "sigmoid", "optimizer": "momentum", "rate": 0.3},
    {"activation": "elu", "optimizer": "adam", "rate": 0.01, "norm": "batch", "residual": True},
)


def _trained(
    jax: Any, *, activation: str, optimizer: str, rate: float, norm: str = "none", residual: bool = False
) -> dict[str, Any]:
    from initlab.frameworks.jax.training.model import forward
    from initlab.frameworks.jax.training.optim import transformation

    jnp = jax.numpy
    arch = initlab.Mlp((3, 6, 6, 5, 4), activation=activation, norm=norm, residual=residual)
    x = Normal(1.0).draw((23, 3), stream(5, "x", purpose="data"))
    y = (np.arange(23) * 7 % 4).astype(np.int32)
    params = {}
    for p in arch.spec().params:
        law = Normal(1.3 / math.sqrt(p.shape[-1])) if p.is_weight else Normal(0.1)
        drawn = initlab.draw(law, p.shape, seed=11, path=p.path, dtype="float64")
        params[p.path] = jnp.asarray(1.0 + drawn if p.role == "norm_scale" else drawn)

    def loss(params: Any) -> Any:
        logits = forward(arch, params, jnp.asarray(x)).logits
        return -jax.nn.log_softmax(logits)[jnp.arange(len(y)), y].mean()

    def flat(tree: Any) -> list[float]:
        order = [p.path for p in arch.spec().params]
        return [float(v) for path in order for v in np.ravel(tree[path])]

    slopes = jax.jit(jax.value_and_grad(loss))
    value, gradient = slopes(params)
    case = {"activation": activation, "norm": norm, "residual": residual, "optimizer": optimizer, "rate": rate}
    found = {**case, "widths": arch.widths, "x": x.ravel().tolist(), "y": y.tolist(), "theta": flat(params)}
    found |= {"loss": float(value), "gradient": flat(gradient)}
    chosen, state, losses = Optimizer(name=optimizer, learning_rate=rate), None, []
    for step in range(1, 21):
        rule = transformation(chosen, learning_rate=rate, step=step)
        state = rule.init(params) if state is None else state
        value, gradient = slopes(params)
        losses.append(float(value))
        change, state = rule.update(gradient, state, params)
        params = {path: number + change[path] for path, number in params.items()}
    return {**found, "losses": losses, "trained": flat(params)}


DIGITS = Path(__file__).parent / "src" / "digits.js"
ROWS = 20  # of each class


def digits() -> str:
    """The script of the digits, some rows of each class: a row is a class and 64 letters, ``a`` (0) to ``q`` (16)."""
    found = initlab.load_task("digits")
    pixels, labels = np.rint(found.x_train * 16).astype(int), found.y_train
    order = np.stack([np.flatnonzero(labels == k)[:ROWS] for k in range(10)], axis=1).ravel()
    rows = (f"{labels[i]}{''.join(chr(97 + p) for p in pixels[i])}" for i in order)
    licence = "Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI, CC BY 4.0"
    return f'/* {licence} */\nwindow.initlabDigits = "{"".join(rows)}";\n'


def vectors() -> dict[str, Any]:
    """All of them."""
    return {"draws": draws(), "theory": theory(), "laws": laws(), "training": training()}


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values agree: numbers to 1e-9 of their size, which covers the last bits of other machines."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return bool(a == b)


def main() -> None:
    """Write both files."""
    text = json.dumps(vectors(), ensure_ascii=False, separators=(",", ":")).replace('},{"', '},\n{"') + "\n"
    FILE.write_text(text, encoding="utf-8")
    DIGITS.write_text(digits(), encoding="utf-8")


if __name__ == "__main__":
    main()
