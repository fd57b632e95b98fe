"""The page of the parity table: a row a model, and every difference with its reason.

python -m tests.parity.page      # writes docs/reference/parity.md
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.parity.comparison import KINDS, Outcome, outcome
from tests.parity.drifts import DRIFTS
from tests.parity.zoo import FAMILIES, NETS
from tests.parity.zoo.net import Net

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "parity.md"
SAID = (
    "Made from the code by `./dev docs`: each model below is written in PyTorch, Keras and Flax, with the same weights"
    " and the same batch. Every fact of every parameter (role, fans, the activations around it, the mean square of its"
    " input, branch, norm, blocks, intent, and its law under `auto`, `he_normal` and `exact_gain_normal`) and every"
    " number of the profile is compared: predicted ones to 1e-6, measured ones to 1e-4. What is not the same is named"
    " below its table with the reason; `tests/parity` fails on a difference without one, and on a reason that nothing"
    " needs."
)
NAMES = {"torch": "PyTorch", "keras": "Keras", "flax": "Flax"}


def row(net: Net, found: Outcome) -> str:
    """The model's line of its table: how many facts and numbers were compared, and how many are not the same."""
    cells = [net.name]
    for kind in KINDS:
        differ = sum(one.kind == kind for one in found.differences)
        cells.append(f"{found.compared[kind]}" + (f", {differ} differ" if differ else ""))
    return "| " + " | ".join(cells) + " |"


def exceptions(net: Net) -> list[str]:
    """The model's lines below its table: what differs, where, and why."""
    return [
        f"- {net.name}: `{reason.fact}` of `{reason.where}`, {' and '.join(NAMES[odd] for odd in reason.odd)}:"
        f" {reason.why}."
        for reason in net.reasons
    ]


def page(compared: Callable[[str], Outcome] = outcome) -> str:
    """The whole page."""
    parts = ["# Parity of the frameworks\n", f"{SAID}\n", "## Cases that are easy to get wrong\n"]
    parts += ["| case | number or verdict | PyTorch | Keras | Flax |\n| --- | --- | --- | --- | --- |"]
    parts += [*(drift.row for drift in DRIFTS), ""]
    for title, names in FAMILIES.items():
        parts += [f"## {title}\n", "| model | facts | predicted | measured |\n| --- | --- | --- | --- |"]
        parts += [row(NETS[name], compared(name)) for name in names]
        told = [line for name in names for line in exceptions(NETS[name])]
        parts += ["", *told, ""] if told else [""]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
