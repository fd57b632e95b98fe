"""The README's first picture: ten hidden layers on the digits, from PyTorch's own start and from He's.

python docs/ten_layers.py      # about a minute; writes docs/images/ten-layers.svg, .json and -probe.svg

The network is that of ``docs/facts/first_steps.py``, trained for 20 epochs, with SGD at 0.01 and with Adam at
0.001, a few seeds each.
The file ``.json`` keeps every number of the picture, and the README quotes it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

import initlab
from initlab.probing.profile import SideBySide
from initlab.report.drawing.charts import Spec, axis, chart, figure_of
from initlab.report.drawing.png import render

PICTURE = Path(__file__).parent / "images" / "ten-layers.svg"
NUMBERS = PICTURE.with_suffix(".json")
SEEDS, EPOCHS = 3, 20
TRAINED = {"SGD": ("sgd", 0.01), "Adam": ("adam", 0.001)}
SCHEMES = {"torch_default": "as PyTorch draws it", "he_normal": "he_normal"}


def build() -> nn.Module:
    """Ten hidden layers of 64 with ReLU, for the 8 x 8 digits."""
    layers: list[nn.Module] = []
    for _ in range(10):
        layers += [nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def trained(optimizer: str, rate: float, *, seeds: int = SEEDS) -> dict[str, dict[str, object]]:
    """For each start the mean training loss of epochs 1, 2, ..., and the test accuracy of every seed."""
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        result = initlab.compare(
            build=build, data="digits", schemes=list(SCHEMES), seeds=seeds, epochs=EPOCHS,
            optimizer=optimizer, learning_rate=rate, out=folder,
        )  # fmt: skip
    found: dict[str, dict[str, object]] = {}
    for row in result.analysis.rows:
        curves = [run.curves["train_loss"] for run in result.records if run.spec.scheme == row.scheme]
        losses = [float(f"{x:.4g}") for x in np.mean(curves, axis=0)[1:]]
        found[row.scheme] = {"losses": losses, "accuracy": [round(x, 4) for x in row.test_accuracy.per_seed]}
    return found


def picture(numbers: dict[str, dict[str, dict[str, object]]]) -> Spec:
    """Training loss by epoch, a panel for each optimiser."""
    panels = []
    for name, (_, rate) in TRAINED.items():
        lines = {SCHEMES[scheme]: list(enumerate(kept["losses"], start=1)) for scheme, kept in numbers[name].items()}
        panels.append(chart(
            lines, {}, x=axis("Epoch"),
            y=axis("Training loss", scale={"domain": [0, 2.5]}), title=f"{name}, learning rate {rate}", columns=2,
        ))  # fmt: skip
    return figure_of(
        {"hconcat": [{**one, "width": 280, "height": 190} for one in panels], "spacing": 30},
        title="Ten hidden layers on the digits: the same net, two starts",
        note=f"mean of {SEEDS} seeds; a guess has loss ln 10 = 2.30",
    )


def main() -> None:
    """Train, draw, and keep the numbers."""
    numbers = {name: trained(*how) for name, how in TRAINED.items()}
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_bytes(render(picture(numbers), form="svg"))
    initlab.picture(before_and_after(), PICTURE.with_name("ten-layers-probe.svg"))


def before_and_after() -> SideBySide:
    """The probe of the net on 128 digits, from PyTorch's own start and from He's."""
    torch.manual_seed(0)
    net, digits = build(), initlab.load_task("digits")
    x, y = digits.x_train[:128], digits.y_train[:128]
    before = initlab.probe(net, x, y)
    return before.compare(he_normal=initlab.probe(initlab.initialize(net, "he_normal", seed=0), x, y))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
