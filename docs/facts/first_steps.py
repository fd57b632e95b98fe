"""What the first page and the page on debugging quote of the probe and of a comparison."""

from __future__ import annotations

from tempfile import TemporaryDirectory

import torch
from computed import Computed, facts
from torch import nn
from typeset import quantities

import initlab
from initlab.api.comparison import Comparison
from initlab.cli.probe_data import example_batches, probed
from initlab.probing.show.diagnosis_text import VERDICTS
from initlab.report.drawing.text import p_value

SEEDS = 6


def build() -> nn.Module:
    """The network of the page, as it stands there."""
    layers: list[nn.Module] = []
    for _ in range(10):
        layers += [nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


@facts("first-steps")
def first_steps() -> Computed:
    """What the probe finds first and second, and who won."""
    return {**diagnosed(), **own()}


def diagnosed() -> dict[str, str]:
    """What the probe says of the network as PyTorch draws it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
    profile, _ = probed(model, example_batches(model, (), "digits"), histograms=False)
    diagnosis, ratio = profile.diagnose(), profile.gradient_ratio
    return {
        "verdict": VERDICTS[diagnosis.verdict],
        "kind": diagnosis.findings[0].kind,
        "second": diagnosis.findings[1].kind,
        "gradient": quantities(f"{ratio.measured:.1g}"),
        "gradient-theory": quantities(f"{ratio.predicted:.1g}"),
    }


def own() -> dict[str, str]:
    """PyTorch's own start against He's; shares to the nearest tenth, which no processor's rounding changes."""
    rows = {row.scheme: row for row in compared().analysis.rows}
    plain, he = rows["torch_default"], rows["he_normal"]
    return {
        "torch-about": about(plain.test_accuracy.mean),
        "he-about": about(he.test_accuracy.mean),
        "torch-worse": str(plain.losses_to_best),
        "p": p_value(plain.p_vs_best),
    }


def compared() -> Comparison:
    """The comparison of the page."""
    with TemporaryDirectory() as folder:
        return initlab.compare(
            build=build,
            data="digits",
            schemes=["torch_default", "he_normal"],
            seeds=SEEDS,
            epochs=5,
            optimizer="sgd",
            learning_rate=0.05,
            jobs=1,
            out=folder,
        )


def about(value: float) -> str:
    """A share to the nearest 10 %."""
    return quantities(f"{10 * round(10 * value)} %")
