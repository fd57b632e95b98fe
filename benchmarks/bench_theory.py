"""How long a description and a full report of an activation take, beside the same numbers from SciPy's quadrature.

The report holds 50 layers of signal, gradient and correlation, the edge of chaos, a phase diagram and more. SciPy gets
the layers' moments alone (``quad`` for signal and gradient, ``dblquad`` for the correlation), for one layer: its
whole is 49 times that. Every cache of ours is emptied before each run.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import inf, sqrt
from statistics import median
from time import perf_counter

import numpy as np
from scipy.integrate import dblquad, quad

from initlab.theory import Activation, activation, describe_activation, expectations, rules, theory_report

ACTIVATIONS = ("relu", "selu", "gelu", "silu", "mish", "tanh", "hard_tanh", "erf")
REPEATS = 7
DEPTH = 50


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


def report_afresh(act: Activation) -> None:
    expectations.forget_moments()
    rules.moment_table.cache_clear()
    theory_report(act, sigma_b2=0.05, depth=DEPTH)


def scipy_layer(act: Activation) -> None:
    """The moments of one layer at q = 1 and c = 1/2."""
    cuts = [-12.0, *act.kinks, 12.0]
    for g in (act, act.slope):
        for low, high in pairwise(cuts):
            quad(lambda z, g=g: float(g(np.array(z)) ** 2) * np.exp(-0.5 * z * z), low, high, epsabs=1e-9)

    def pair(y: float, x: float) -> float:
        v = 0.5 * x + sqrt(0.75) * y
        return float(act(np.array(x)) * act(np.array(v))) * np.exp(-0.5 * (x * x + y * y))

    dblquad(pair, -8.0, 8.0, -8.0, 8.0, epsabs=1e-6)


def main() -> None:
    print(f"{'activation':12}{'described':>12}{'as a function':>15}{'SciPy quad':>12}{'ratio':>8}")
    for name in ACTIVATIONS:
        act = activation(name)
        plain = lambda x, f=act.f: f(x)  # noqa: E731  (a function whose kinks and slope are not known)
        works = (partial(describe_afresh, act), partial(describe_afresh, plain), partial(scipy_moments, act))
        times = [[seconds(work) for work in works] for _ in range(REPEATS)]
        ours, numerical, scipy = (median(column) for column in zip(*times, strict=True))
        print(f"{name:12}{1e3 * ours:9.2f} ms{1e3 * numerical:12.2f} ms{1e3 * scipy:9.1f} ms{scipy / ours:7.0f}x")

    print(f"\n{'activation':12}{'report':>12}{'SciPy, 49 layers':>20}{'ratio':>8}")
    for name in ACTIVATIONS:
        act = activation(name)
        ours = min(seconds(partial(report_afresh, act)) for _ in range(REPEATS))
        scipy = (DEPTH - 1) * min(seconds(partial(scipy_layer, act)) for _ in range(2))
        print(f"{name:12}{1e3 * ours:9.1f} ms{scipy:18.1f} s{scipy / ours:7.0f}x")


if __name__ == "__main__":
    main()
