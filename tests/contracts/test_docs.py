"""Pages made from the registries say what the code says; the README's Python runs as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
