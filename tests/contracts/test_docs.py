"""Pages made from the registries say what the code says; the README's Python runs as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

import initlab
from initlab.cli.main import app
from initlab.museum.exhibits import DEPOT, EXHIBITS
from initlab.probing.checks.book import CHECKS
from initlab.recipes.book import RECIPES
from initlab.schemes import SCHEMES
from initlab.study.design import list_studies
from initlab.study.sweep import list_sweeps
from initlab.study.trackers import TRACKERS
from initlab.tasks import TASKS
from initlab.theory import ACTIVATIONS

ROOT = Path(__file__).parents[2]
# As initlab brings them: a test that registers something of its own, run before these, adds to the registries.
SCHEME_NAMES, ACTIVATION_NAMES, TASK_NAMES = tuple(SCHEMES), tuple(ACTIVATIONS), tuple(TASKS)
CHECK_NAMES, TRACKER_NAMES = tuple(CHECKS), tuple(TRACKERS)


def test_the_reference_pages_say_what_the_registries_say() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "docs" / "build.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_readmes_python_runs_and_its_numbers_come_out(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    model = "from examples.resnet import build\nmodel, x = build()\n"
    code = model + "\n".join(blocks).replace("seeds=20", "seeds=2, epochs=2")
    checks = [
        "assert law.std((64, 200)) == 0.1",
        "assert round(initlab.theory.forward_gain('gelu'), 10) == 1.5335304412",
        "assert round(initlab.theory.variance_slope('gelu'), 10) == 1.1440631969",
        "assert initlab.scheme('tiny')(initlab.ParamSpec(shape=(2, 4))).std((2, 4)) == 0.25",
    ]
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join([code, *checks])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def _reference(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def test_every_name_of_a_registry_has_its_place_in_the_reference() -> None:
    places = {
        "schemes.md": [f"### {name}\n" for name in SCHEME_NAMES],
        "activations.md": [f"| `{name}" for name in ACTIVATION_NAMES],
        "studies.md": [f"`{name}`" for name in (*list_studies(), *TASK_NAMES)],
        "recipes.md": [f"| `{name}" for name in RECIPES],
        "checks.md": [f"`{name}`" for name in CHECK_NAMES],
        "trackers.md": [f"| `{name}` |" for name in TRACKER_NAMES],
        "museum.md": [f"### {e.number}. {e.title}\n" for e in (*EXHIBITS, *DEPOT)],
        "api.md": [f"### initlab.{name}\n" for name in initlab.__all__ if name not in ("theory", "__version__")],
        "cli.md": [f"## initlab {name}\n" for name in get_command(app).commands],
    }
    places["studies.md"] += [f"## Sweep: {name}\n" for name in list_sweeps()]
    lacking = [(page, text) for page, texts in places.items() for text in texts if text not in _reference(page)]
    assert lacking == []


def test_every_picture_of_the_reference_is_there_and_small() -> None:
    pages = (ROOT / "docs" / "reference").glob("*.md")
    links = [link for page in pages for link in re.findall(r"\]\((\.\./images/[^)]+)\)", page.read_text("utf-8"))]
    sizes = [(ROOT / "docs" / "reference" / link).stat().st_size for link in links]
    assert len(sizes) >= 15
    assert max(sizes) < 20_000
