"""Writes the pages that the code knows better than we do: registries as tables, and the README's example as it runs.

python docs/build.py            # everything
python docs/build.py --check    # exit 1 if a page says other than the code does
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import tempfile
from pathlib import Path

import computed
from rich.console import Console

import initlab
from initlab.core.calls import format_call
from initlab.report.png import drawn
from initlab.report.tables import print_table
from initlab.schemes import SCHEMES
from initlab.study.design import list_studies, load_study
from initlab.tasks import TASKS
from initlab.theory import ACTIVATIONS, activation, describe_activation

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # the examples
BEGIN, END = "<!-- begin: {} -->", "<!-- end: {} -->"


def cell(text: str) -> str:
    """A text as a cell of a Markdown table."""
    return text.replace("``", "`").replace("|", "\\|")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *[[cell(c) for c in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def schemes_page() -> str:
    """Every scheme: call, formula, when, when not, source, aliases."""
    parts = ["# Schemes\n", "Made from the registry by `./dev docs`; `initlab show NAME` prints one.\n"]
    families = dict.fromkeys(SCHEMES[name].family for name in SCHEMES)
    for family in families:
        parts.append(f"## {family.capitalize()}\n")
        for name in SCHEMES:
            item = SCHEMES[name]
            if item.family == family:
                call = format_call(name, {option: p.default for option, p in item.options.items()})
                rows = [
                    ["what", item.summary],
                    ["formula", f"`{item.formula}`"],
                    ["call", f"`{call}`"],
                    ["when", item.when],
                    ["when not", item.avoid],
                    ["source", item.source],
                    ["aliases", ", ".join(f"`{alias}`" for alias in item.aliases) or "none"],
                ]
                parts.append(f"### {name}\n\n{table(['', ''], rows)}")
    return "\n".join(parts)


def activations_page() -> str:
    """Every activation: gains, chi_1 and V'(1)."""

    def number(value: float | None) -> str:
        return "infinite" if value is None else f"{value:.6f}"

    rows = []
    for name in ACTIVATIONS:
        d = describe_activation(activation(name))
        gains = [d.forward_gain, d.centered_gain, d.backward_gain, d.chi_1, d.variance_slope]
        rows.append([f"`{d.name}`", f"`{d.formula}`", *map(number, gains)])
    header = ["activation", "f(x)", "forward gain", "centered gain", "backward gain", "chi_1", "V'(1)"]
    return (
        "# Activations\n\nMade from the registry by `./dev docs`; `initlab theory NAME` explains one. For a standard"
        " normal z the forward gain is 1/sqrt(E f(z)^2), the centered one 1/sqrt(Var f(z)), the backward one"
        " 1/sqrt(E f'(z)^2); chi_1 and V'(1) are taken at the forward gain. V'(1) above 1 means that the gain holds no"
        f" signal in a deep net.\n\n{table(header, rows)}"
    )


def studies_page() -> str:
    """Every ready-made study and data set."""
    studies = []
    for name in list_studies():
        s = load_study(name)
        net = " -> ".join(["in", *map(str, s.hidden), "out"]) + f", {s.activation}"
        rate = (
            f"{s.optimizer.name} {s.optimizer.learning_rate:g}, batch {s.budget.batch_size}, {s.budget.epochs} epochs"
        )
        studies.append([f"`{name}`", s.title, net, rate, ", ".join(f"`{c}`" for c in s.schemes)])
    tasks = [[f"`{n}`", TASKS[n].title, TASKS[n].license, TASKS[n].source] for n in sorted(TASKS)]
    return (
        "# Studies and data sets\n\nMade from the registries by `./dev docs`.\n\n## Studies\n\n"
        + table(["study", "what", "network", "training", "schemes"], studies)
        + "\n## Data sets\n\n"
        + table(["name", "what", "licence", "source"], tasks)
    )


PAGES = {"schemes.md": schemes_page, "activations.md": activations_page, "studies.md": studies_page}


def replace_block(text: str, name: str, content: str) -> str:
    """The text with the part between a block's markers replaced."""
    begin, end = BEGIN.format(name), END.format(name)
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"


def demo() -> tuple[str, bytes]:
    """What `initlab compare iris --seeds 20` prints at 80 columns, and its picture."""
    with tempfile.TemporaryDirectory() as folder:
        result = initlab.compare("iris", seeds=20, out=folder)
        out = io.StringIO()
        Console(file=out, width=80, highlight=False).print(print_table(result.analysis, width=80))
        console = Console(file=out, width=80, highlight=False)
        console.print(f"\n{result.analysis.conclusion}")
        console.print("\nEverything is in runs/iris: report.html, curves.png, curves.parquet, records/")
        picture = (Path(folder) / "curves.png").read_bytes()
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()), picture


def planned() -> str:
    """What `initlab plan examples.resnet:build --scheme auto` prints at 80 columns."""
    build = importlib.import_module("examples.resnet").build
    model, example = build()
    printed = initlab.plan(model, "auto", example=example).text(width=80)
    return f"$ initlab plan examples.resnet:build --scheme auto\n{printed}"


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which pages are out of date")
    arguments = parser.parse_args()
    computed.load()
    if arguments.check:
        stale = [name for name, page in PAGES.items() if (DOCS / "reference" / name).read_text() != page()]
        stale += computed.stale_pages() + computed.stale_figures()
        print("\n".join([*stale, "run ./dev docs"]) if stale else "all pages say what the code says")
        return int(bool(stale))
    for name, page in PAGES.items():
        (DOCS / "reference" / name).write_text(page())
    for path in computed.pages():
        path.write_text(computed.filled(path), encoding="utf-8")
    computed.write_figures(lambda spec: drawn(spec, form="svg"))
    output, picture = demo()
    (DOCS / "images" / "iris.png").write_bytes(picture)
    readme = ROOT / "README.md"
    text = replace_block(readme.read_text(), "iris", f"```text\n$ ./dev demo\n{output}\n```")
    readme.write_text(replace_block(text, "plan", f"```text\n{planned()}\n```"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
