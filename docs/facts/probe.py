"""What ``probe.md`` quotes: the limits, the planted faults, and what the probe said of nets that were then trained."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from computed import facts

import initlab
from initlab.museum.exhibits import DEPOT, EXHIBITS, Exhibit
from initlab.museum.visit import built_twin
from initlab.probing.checks.book import checks_in_order
from initlab.probing.checks.limits import Limits

NETS = Path(__file__).parents[1] / "probe_nets.csv"
TRAINED = 0.3
"""Three times chance on ten classes."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@facts("probe")
def probe_page() -> dict[str, str]:
    """Every block and number of the page."""
    rows = nets()
    agree = [row for row in rows if is_healthy(row) == is_trained(row)]
    return {
        "checks": table(
            ["check", "about", "what it looks for"], [[c.name, c.stage, c.summary] for c in checks_in_order()]
        ),
        "limits": limits(),
        "faults": faults(),
        "nets": nets_table(rows),
        "partings": nets_table([row for row in rows if row not in agree]),
        "count": str(len(rows)),
        "agree": str(len(agree)),
        "healthy": str(sum(map(is_healthy, rows))),
        "healthy-trained": str(sum(is_healthy(row) and is_trained(row) for row in rows)),
        "sick": str(sum(not is_healthy(row) for row in rows)),
        "sick-trained": str(sum(is_trained(row) and not is_healthy(row) for row in rows)),
        "healthy-median": f"{median([best(row) for row in rows if is_healthy(row)]):.2f}",
        "sick-median": f"{median([best(row) for row in rows if not is_healthy(row)]):.2f}",
    }


def limits() -> str:
    """A row a limit."""
    found = Limits()
    return table(
        ["limit", "default", "why"], [[f"`{n}`", f"{found.to_dict()[n]:g}", w] for n, w in found.reasons.items()]
    )


def faults() -> str:
    """A row an exhibit: was its fault found, is its healthy twin silent?"""
    return table(
        ["", "fault", "must be found", "found", "twin silent", "Keras twin"],
        [fault_row(exhibit) for exhibit in (*EXHIBITS, *DEPOT)],
    )


def fault_row(exhibit: Exhibit) -> list[str]:
    """One exhibit."""
    broken, mended = (
        initlab.probe(built_twin(exhibit, twin), *exhibit.batch()).diagnose() for twin in ("broken", "mended")
    )
    found = all(kind in broken for kind in exhibit.finds)
    marks = ["yes" if found else "**no**", "yes" if mended.healthy else "**no**", "yes" if exhibit.keras else "no"]
    return [str(exhibit.number), exhibit.title, ", ".join(exhibit.finds), *marks]


def nets() -> list[dict[str, str]]:
    """The rows of ``probe_nets.csv``."""
    with NETS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def is_healthy(row: dict[str, str]) -> bool:
    """Whether the probe raised no alarm."""
    return not row["alarm"]


def best(row: dict[str, str]) -> float:
    """The better of the two runs by SGD."""
    return max(float(row["sgd 0.03"]), float(row["sgd 0.003"]))


def is_trained(row: dict[str, str]) -> bool:
    """Whether SGD gets anywhere at one of its learning rates."""
    return best(row) >= TRAINED


def nets_table(rows: Sequence[dict[str, str]]) -> str:
    """A row a net."""
    head = ["net", "scheme", "the probe said", "SGD 0.03", "SGD 0.003", "Adam 0.001", "trained"]
    return table(head, [net_row(row) for row in rows])


def net_row(row: dict[str, str]) -> list[str]:
    """One net."""
    kind = "" if row["kind"] == "plain" else f", {row['kind']}"
    said = row["alarm"] or ("healthy" + (f"; note: {row['note']}" if row["note"] else ""))
    runs = [f"{100 * float(row[run]):.0f} %" for run in ("sgd 0.03", "sgd 0.003", "adam 0.001")]
    return [
        f"{row['activation']} x {row['depth']}{kind}",
        row["scheme"],
        said,
        *runs,
        "yes" if is_trained(row) else "no",
    ]
