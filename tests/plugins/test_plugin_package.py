"""A small package of someone else's: seen in every list, used by name, and holding to the suites."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = '''
"""One thing of each kind."""

from pathlib import Path

import numpy as np
import torch

import initlab
from initlab import Finding, LayerParam
from initlab.core.laws import Normal
from initlab.core.facts.fans import fans


@initlab.register_scheme(
    family="plug-in", formula="N(0, 1 / (4 fan_in))", source="nobody", when="in a test", avoid="elsewhere"
)
def plugged_quarter(p):
    """Normal with ``std = 1 / (2 sqrt(fan_in))``.

    Example:
        >>> plugged_quarter(initlab.ParamSpec(shape=(64, 100))).std((64, 100))
        0.05
    """
    return Normal(0.5 / np.sqrt(fans(p).fan_in))


@initlab.register_activation("plugged_bend", formula="x + sin(x) / 2", source="nobody", kinks=())
def plugged_bend(x):
    return x + 0.5 * np.sin(x)


@initlab.register_task("plugged_xor", title="Exclusive or", source="Boole (1854)", license="CC0", rows=40)
def plugged_xor(*, data=None):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 10)
    return initlab.from_arrays(x, x[:, 0] ^ x[:, 1], test_size=0.5, name="plugged_xor")


class LowRank(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.u, self.v = torch.nn.Parameter(torch.ones(150, 120)), torch.nn.Parameter(torch.ones(200, 150))

    def forward(self, x):
        return torch.einsum("bi,ri,or->bo", x, self.u, self.v)


@initlab.register_layer(
    "plugged.LowRank",
    name="plugged_low_rank",
    signal="weighted",
    second_moment=lambda square, held: square * held["u"].forward * held["v"].forward,
    gradient=lambda square, held: square * held["u"].backward * held["v"].backward,
)
def low_rank(layer):
    """Two factors of a dense weight."""
    return {"u": LayerParam("dense", f_out="identity"), "v": LayerParam("dense", f_in="identity")}


@initlab.register_check("plugged sevens", stage="weights")
def sevens(case, limits):
    """A parameter is 7 in every entry."""
    names = tuple(n for n, held in case.evidence.weights.items() if held.mean == 7.0 and held.std == 0.0)
    if names:
        yield Finding("sevens", "alarm", names, "all entries are 7", "draw them", scheme="he_normal", value=7.0)


@initlab.register_tracker("plugged_lines")
class Lines:
    """A line a run, in ``lines.txt``."""

    def __init__(self, run):
        self.run = run

    def log(self, epoch, scalars, histograms):
        pass

    def show(self, pictures, text):
        pass

    def close(self, summary):
        with open(Path(self.run.folder) / "lines.txt", "a") as file:
            file.write(f"{self.run.name}\\n")
'''

GROUPS = ("schemes", "activations", "tasks", "layers", "checks", "trackers")
NAMES = {
    "schemes": "plugged_quarter",
    "activations": "plugged_bend",
    "tasks": "plugged_xor",
    "layers": "plugged_low_rank",
    "checks": "plugged sevens",
    "trackers": "plugged_lines",
}

SUITES = """
import warnings
warnings.simplefilter("error")
import tempfile
from pathlib import Path
import numpy as np, torch
from initlab import testing
X = np.random.default_rng(3).standard_normal((64, 120)).astype(np.float32)

def model(first=None):
    import plugged
    net = torch.nn.Sequential(plugged.LowRank(), torch.nn.Tanh(), torch.nn.Linear(200, 5))
    return net

def filled(number):
    net = torch.nn.Sequential(torch.nn.Linear(120, 9), torch.nn.Linear(9, 5))
    torch.nn.init.constant_(net[0].weight, number) if number else torch.nn.init.normal_(net[0].weight)
    return net, X

testing.check_scheme("plugged_quarter")
testing.check_activation("plugged_bend", frameworks=("torch",))
testing.check_task("plugged_xor")
testing.check_layer("plugged_low_rank", model, X)
testing.check_check("plugged sevens", sick=lambda: filled(7.0), healthy=lambda: filled(0.0))
testing.check_tracker("plugged_lines", Path(tempfile.mkdtemp()))
"""

USED = """
from dataclasses import replace

import initlab
from initlab.study.design import load_study
iris = replace(load_study("iris"), activation="plugged_bend")
net = initlab.compare(iris, schemes=["plugged_quarter"], seeds=1, epochs=1, framework="torch", track=["plugged_lines"])
assert net.logging == {"plugged_lines": "ok"}, net.logging
assert (net.folder / "lines.txt").read_text().count("plugged_quarter, seed 0") == 1
xor = initlab.load_task("plugged_xor")
assert len(xor.x_train) == 20
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a package manager leaves it: the package, and beside it what it offers."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("site")
    (folder / "plugged.py").write_text(PACKAGE)
    (folder / "broken_plug.py").write_text("raise RuntimeError('no licence\\nfor this machine')\n")
    for name, entries in (("plugged", ["plugged = plugged"]), ("broken_plug", ["broken = broken_plug"])):
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        groups = GROUPS if name == "plugged" else ("schemes",)
        (info / "entry_points.txt").write_text("\n".join(f"[initlab.{g}]\n" + "\n".join(entries) for g in groups))
    return folder


def ran(site: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd or site, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", GROUPS)
def test_every_list_has_it(site: Path, kind: str) -> None:
    done = ran(site, "-m", "initlab", "list", kind)
    assert done.returncode == 0, done.stderr
    assert NAMES[kind] in done.stdout


def test_a_plugin_that_fails_is_one_line_beside_the_list(site: Path) -> None:
    done = ran(site, "-m", "initlab", "list", "schemes")
    (line,) = done.stderr.splitlines()
    assert line.startswith("initlab: notice: the plug-in 'broken' of initlab.schemes is left out (broken_plug, ")
    assert line.endswith("RuntimeError: no licence")
    assert "he_normal" in done.stdout


def test_show_knows_it(site: Path) -> None:
    done = ran(site, "-m", "initlab", "show", "plugged_low_rank")
    assert "Two factors of a dense weight." in done.stdout
    assert "second moment, gradient" in done.stdout


def test_it_passes_the_suites(site: Path, tmp_path: Path) -> None:
    done = ran(site, "-c", SUITES.replace('simplefilter("error")', 'simplefilter("default")'), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_it_trains_and_is_tracked_by_name(site: Path, tmp_path: Path) -> None:
    done = ran(site, "-c", USED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
