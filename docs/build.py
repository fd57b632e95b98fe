"""Writes the pages that the code knows better than we do: registries as tables, and the README's example as it runs.

python docs/build.py            # everything
python docs/build.py --check    # exit 1 if a page says other than the code does
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Layers are built without a compiler, and the wait for TensorFlow is spared.
os.environ["KERAS_BACKEND"] = "torch"
# The nets are small: many threads would wait more than they work, and on a busy machine they wait for one another.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ["COLUMNS"] = "80"

import computed
import notebooks
from registries import activations, interface, layers, lists, schemes

import initlab
from initlab.report.drawing.png import render

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # the examples
BEGIN, END = "<!-- begin: {} -->", "<!-- end: {} -->"


PAGES = {**schemes.PAGES, **activations.PAGES, **layers.PAGES, **lists.PAGES, **interface.PAGES}


def replace_block(text: str, name: str, content: str) -> str:
    """The text with the part between a block's markers replaced."""
    begin, end = BEGIN.format(name), END.format(name)
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"


def demo() -> tuple[str, bytes]:
    """What `initlab compare iris --splits 5 --seeds 4` prints at 80 columns, and its picture."""
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        result = initlab.compare("iris", splits=5, seeds=4)
        result.print()
        picture = (result.folder / "curves.png").read_bytes()
    return "\n".join(line.rstrip() for line in printed.getvalue().rstrip().splitlines()), picture


def planned() -> str:
    """What `initlab plan examples.resnet:build --scheme auto` prints at 80 columns."""
    build = importlib.import_module("examples.resnet").build
    model, example = build()
    printed = initlab.plan(model, "auto", example=example).text(width=80)
    return f"$ initlab plan examples.resnet:build --scheme auto\n{printed}"


def named_anew(svg: bytes) -> bytes:
    """A picture whose clips are numbered from 0: the renderer counts on from one picture to the next.

    So a figure whose numbers are the same has the same bytes, whatever was drawn before it.
    """
    text = svg.decode()
    for at, name in enumerate(dict.fromkeys(re.findall(r"\bclip\d+\b", text))):
        text = re.sub(rf"\b{name}\b", f"clip-{at}", text)
    return text.encode()


def kept(name: str) -> str:
    """A reference page as it stands; empty where there is none."""
    path = DOCS / "reference" / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def write_parity() -> None:
    """Write the parity table; that it is true is asserted by ``tests/parity``, where it is computed anyway."""
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-m", "tests.parity.page"], cwd=ROOT, env=environment, check=True)


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which pages are out of date")
    arguments = parser.parse_args()
    computed.load()
    if arguments.check:
        stale = [f"reference/{name}" for name, page in PAGES.items() if kept(name) != page()]
        stale += notebooks.stale_notebooks() + computed.stale_pages() + computed.stale_figures()
        print("\n".join([*stale, "run ./dev docs"]) if stale else "all pages say what the code says")
        return int(bool(stale))
    for name, page in PAGES.items():
        (DOCS / "reference" / name).write_text(page(), encoding="utf-8")
    write_parity()
    notebooks.write_notebooks()
    for path in computed.pages():
        path.write_text(computed.filled(path), encoding="utf-8")
    computed.write_figures(lambda spec: named_anew(render(spec, form="svg")))
    output, picture = demo()
    (DOCS / "images" / "iris.png").write_bytes(picture)
    readme = ROOT / "README.md"
    text = replace_block(readme.read_text(), "iris", f"```text\n$ ./dev demo\n{output}\n```")
    readme.write_text(replace_block(text, "plan", f"```text\n{planned()}\n```"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
