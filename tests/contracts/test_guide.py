"""The guide as its reader meets it: headings are there, links lead somewhere, code and commands work as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import typer.main

from initlab.cli.main import app, main
from initlab.lessons import LESSONS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "index.md", DOCS / "live.md", *sorted((DOCS / "guide").glob("*.md"))]
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE
)
QUICK = ("explain", "list", "museum list", "show", "theory")
"""Commands that answer within a second or so; of ``explain`` only the list, as its lessons have tests of their own."""

TOPICS = {
    "why.md": [
        "Why is initialization important?",
        "Why must it be careful?",
        "What goes wrong with an improper one?",
        "How does it show in training and convergence?",
        "Vanishing",
        "Exploding",
        "Oscillation",
        "Poor minima",
        "Poor generalisation",
        "Long training",
        "NaN",
        "What has variance to do with it?",
    ],
    "gradients.md": [
        "What is the vanishing gradient problem?",
        "What is the exploding gradient problem?",
        "How do they affect training?",
        "Where do they bite?",
        "Deep networks",
        "Recurrent networks with long dependences",
        "Which activations are prone, and why?",
    ],
    "zero-and-random.md": [
        "Zero initialization",
        "The concept",
        "The limits",
        "When zero is right",
        "Why ones or any constant fail the same way",
        "Shown: rank 1 after training",
        "Random initialization",
        "Normal",
        "Uniform",
        "Standard normal",
        "0.01",
        "How to adjust it against saturation, vanishing and exploding",
    ],
    "named-schemes.md": [
        "Xavier (Glorot)",
        "The problem it solves",
        "The derivation",
        "Its reach",
        "He (Kaiming)",
        "How it differs",
        "When it is preferred",
        "LeCun",
        "Orthogonal",
        "Identity",
        "Truncated normal",
        "What PyTorch, Keras and JAX really do under the same name",
    ],
    "rules-of-thumb.md": ["Derived", "Checked", "Where they fail: GELU and SiLU, V'(1) > 1"],
    "remedies.md": [
        "Batch and layer normalisation",
        "What they change about initialization",
        "Residual connections",
        "Gradient clipping",
        "Dropout",
        "L1 and L2",
    ],
    "trade-offs.md": [
        "Task and data",
        "Activation",
        "Depth and width",
        "Regularisation",
        "Cost",
        "Generalisation",
        "Always test with seeds",
        "Transformers in short",
    ],
    "reproducibility.md": ['"Random initialization is not reproducible"', "Counter-based draws"],
    "textbooks.md": [
        '"tanh\' is near zero around zero"',
        '"He keeps ReLU units in their linear regime"',
        '"Ones are better than zeros because the products are not zero"',
        '"The gain of tanh is 5/3" (PyTorch\'s table)',
        '"BatchNorm makes initialization irrelevant"',
    ],
    "frameworks.md": ["In Keras", "In PyTorch", "In JAX"],
}


def without_code(page: Path) -> str:
    """The text of a page, its code blocks left out."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path) -> list[re.Match[str]]:
    """The code blocks of a page, in order."""
    return list(BLOCK.finditer(page.read_text(encoding="utf-8")))


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", without_code(page), flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """The identifier that the site gives a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def commands(page: Path) -> list[str]:
    """Every line of a page's shell blocks that calls initlab."""
    shells = [m["code"].replace("\\\n", " ") for m in blocks(page) if m["language"] in ("console", "bash")]
    return [line for code in shells for line in code.splitlines() if line.startswith("initlab ")]


EVERY_COMMAND = sorted({line for page in (*PAGES, DOCS.parent / "README.md") for line in commands(page)})


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """The command of a line with its arguments, read as the program reads them; nothing is run."""
    command, rest = typer.main.get_command(app), shlex.split(line.partition(" > ")[0])[1:]
    context, name = command.make_context("initlab", list(rest)), "initlab"
    while hasattr(command, "resolve_command"):
        left = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, left)
        context = command.make_context(name, list(rest), parent=context)
    return name, context.params


@pytest.mark.parametrize("page", sorted(TOPICS))
def test_every_topic_has_a_heading(page: str) -> None:
    found = headings(DOCS / "guide" / page)
    assert [topic for topic in TOPICS[page] if topic not in found] == []


def anchors(target: Path) -> set[str]:
    """What a link may name behind the #: a page's headings, or a lesson of the page that trains live."""
    if target.suffix == ".html":
        presets = (DOCS.parent / "web" / "src" / "page" / "presets.ts").read_text(encoding="utf-8")
        return {f"preset={name}" for name in re.findall(r'^  preset\("([\w-]+)"', presets, re.MULTILINE)}
    return set(map(anchor, headings(target)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_their_anchors_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\((?!https://)([^)\s]+)\)", without_code(page)):
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        known = target.exists() and (not fragment or fragment in anchors(target))
        broken += [] if known else [link]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_have_a_text_and_a_caption(page: Path) -> None:
    text = without_code(page)
    figures = re.findall(r"<figure.*?</figure>", text, flags=re.DOTALL)
    assert len(figures) == len(re.findall(r"!\[", text))
    told = re.compile(r"!\[[^\]]{30,}\]\([^)]+\)\n<figcaption>.{30,}</figcaption>", re.DOTALL)
    assert [figure for figure in figures if not told.search(figure)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_line_begins_with_the_mark_of_a_number(page: Path) -> None:
    # Markdown takes a line that begins with a comment for HTML, and ends the paragraph there.
    assert re.findall(r"^\s*(?:- )?<!--:.*", page.read_text(encoding="utf-8"), flags=re.MULTILINE) == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f": {page.relative_to(DOCS).as_posix()}\n" not in navigation] == []


@pytest.mark.parametrize("line", EVERY_COMMAND)
def test_the_command_line_takes_every_command(line: str) -> None:
    name, params = parsed(line)
    if name == "explain" and params["topic"]:
        assert LESSONS.canonical(params["topic"])


@pytest.mark.parametrize(
    "line",
    [
        line
        for line in EVERY_COMMAND
        if line.startswith(tuple(f"initlab {name}" for name in QUICK)) and not line.startswith("initlab explain ")
    ],
)
def test_quick_commands_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[1:]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(m["language"] == "python" for m in blocks(page))], ids=lambda page: page.stem
)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    python = [m for m in blocks(page) if m["language"] == "python"]
    code = "\n".join(m["code"] for m in python)
    for framework in ("flax", "keras", "torch"):
        if re.search(rf"^\s*(import|from) {framework}\b", code, flags=re.MULTILINE):
            pytest.importorskip(framework)
    for block in python:
        if block["title"]:
            (tmp_path / block["title"]).write_text(block["code"], encoding="utf-8")
    # Worker processes import the script again.
    (tmp_path / "page.py").write_text("if __name__ == '__main__':\n" + indent(code, "    "), encoding="utf-8")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    ran = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_the_steps_of_the_first_page_work_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    page = DOCS / "guide" / "first-steps.md"
    net = next(m for m in blocks(page) if m["title"] == "net.py")
    (tmp_path / "net.py").write_text(net["code"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "net", raising=False)
    steps = [line for line in commands(page) if line.startswith(("initlab probe", "initlab plan", "initlab compare"))]
    assert [step.split()[1] for step in steps] == ["compare", "probe", "plan", "compare"]
    for step in steps:
        fewer = step.replace("--seeds 6", "--seeds 1 --jobs 1").replace("--epochs 5", "--epochs 1")
        # Of ten layers the page's network is hard to train, and not sick: Adam gets two thirds of the digits right.
        assert main(shlex.split(fewer)[1:]) == 0, step
    assert (tmp_path / "runs" / "iris" / "report.html").exists()
