"""How long a full description of an activation takes, beside the same moments from SciPy's adaptive quadrature."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import inf, sqrt
from statistics import median
from time import perf_counter

import numpy as np
from scipy.integrate import quad

from initlab.theory import Activation, activation, describe_activation, expectations

ACTIVATIONS = ("relu", "selu", "gelu", "silu", "mish", "tanh", "hard_tanh", "erf")
REPEATS = 7


def scipy_moments(act: Activation) -> list[float]:
    cuts = [-inf, *act.kinks, inf]

    def expect(g) -> float:
        def weighted(z: float) -> float:
            return float(g(np.array(z))) * np.exp(-0.5 * z * z) / sqrt(2.0 * np.pi)

        return sum(quad(weighted, low, high, epsabs=1e-12, epsrel=1e-12)[0] for low, high in pairwise(cuts))

    mean = expect(act)
    second = expect(lambda z: act(z) ** 2)
    return [
        mean,
        second,
        expect(lambda z: (act(z) - mean) ** 2),
        expect(lambda z: act(z) ** 4),
        expect(act.slope),
        expect(lambda z: act.slope(z) ** 2),
        expect(lambda z: act.slope(z) ** 4),
        expect(lambda z: act(z) * act.slope(z) * z),
    ]


def seconds(work) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def describe_afresh(f) -> None:
    expectations.forget_moments()
    describe_activation(f)


def main() -> None:
    print(f"{'activation':12}{'described':>12}{'as a function':>15}{'SciPy quad':>12}{'ratio':>8}")
    for name in ACTIVATIONS:
        act = activation(name)
        plain = lambda x, f=act.f: f(x)  # noqa: E731  (a function whose kinks and slope are not known)
        works = (partial(describe_afresh, act), partial(describe_afresh, plain), partial(scipy_moments, act))
        times = [[seconds(work) for work in works] for _ in range(REPEATS)]
        ours, numerical, scipy = (median(column) for column in zip(*times, strict=True))
        print(f"{name:12}{1e3 * ours:9.2f} ms{1e3 * numerical:12.2f} ms{1e3 * scipy:9.1f} ms{scipy / ours:7.0f}x")


if __name__ == "__main__":
    main()
