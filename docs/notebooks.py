"""The notebooks of ``examples/``, made of the scripts beside them: one code, run as a script and read cell by cell.

A script is divided by lines ``# %%`` for code and ``# %% [markdown]`` for text; its docstring stands under its title.
Where a cell ends in ``print(name)``, the notebook ends it in ``name``, which shows itself as table and figure.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("iris_keras", "mend_tanh", "audit_transformer")
MARK = re.compile(r"^# %%( \[markdown\])?$", re.MULTILINE)


def stale_notebooks() -> list[str]:
    """The notebooks that hold other code or text than their scripts."""
    return [
        f"examples/{name}.ipynb is not what examples/{name}.py says"
        for name in NAMES
        if not path_of(name).exists() or path_of(name).read_text(encoding="utf-8") != notebook(name)
    ]


def write_notebooks() -> None:
    """Write every notebook, without outputs."""
    for name in NAMES:
        path_of(name).write_text(notebook(name), encoding="utf-8")


def path_of(name: str) -> Path:
    """The notebook of a script."""
    return EXAMPLES / f"{name}.ipynb"


def notebook(name: str) -> str:
    """The notebook of a script, in nbformat 4.5."""
    script = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    parts = MARK.split(script)
    about = (ast.get_docstring(ast.parse(parts[0])) or "").replace("``", "`")
    cells = [text_cell(body) if kind else code_cell(body) for kind, body in zip(parts[1::2], parts[2::2], strict=True)]
    cells[0]["source"] += "\n\n" + about
    numbered = [
        {**cell, "id": f"{name}-{at}".replace("_", "-"), "source": cell["source"].splitlines(keepends=True)}
        for at, cell in enumerate(cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": numbered, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def text_cell(body: str) -> dict[str, object]:
    """A cell of text, out of its comment."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()]
    return {"cell_type": "markdown", "metadata": {}, "source": "\n".join(lines)}


def code_cell(body: str) -> dict[str, object]:
    """A cell of code, whose last value shows itself."""
    source = body.strip()
    last = ast.parse(source).body[-1]
    shown = printed(last)
    if shown is not None:
        source = "\n".join([*source.splitlines()[: last.lineno - 1], ast.unparse(shown)])
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}


def printed(last: ast.stmt) -> ast.expr | None:
    """What a statement prints, where that is one object and no text."""
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        return None
    call = last.value
    if ast.unparse(call.func) != "print" or len(call.args) != 1:
        return None
    return None if isinstance(call.args[0], ast.JoinedStr | ast.Constant) else call.args[0]
