"""No verdict, action, number, finding or exit code hangs on the words of a note, a reason or a message."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.rewording import Rewording, names_in, reworded

pytest.importorskip("torch")
pytest.importorskip("keras")
pytest.importorskip("flax")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def editions() -> dict[str, Any]:
    """What both editions decide and say, run side by side."""
    command = [sys.executable, "-m", "tests.contracts.verdicts"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    running = {name: subprocess.Popen([*command, *options], **pipes) for name, options in _EDITIONS.items()}
    found = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err[-2000:]
        found[name] = json.loads(out.splitlines()[-1])
    return found


_EDITIONS: dict[str, list[str]] = {"as it is": [], "reworded": ["--reworded"]}


def test_rewording_every_sentence_changes_no_decision(editions: dict[str, Any]) -> None:
    decided, others = editions["as it is"][0], editions["reworded"][0]
    assert decided.keys() == others.keys()
    for case, found in decided.items():
        assert found == others[case], case


def test_the_sentences_were_reworded(editions: dict[str, Any]) -> None:
    said, others = editions["as it is"][1], editions["reworded"][1]
    kept = [text for case, texts in said.items() for text in texts if len(text.split()) > 3 and text in others[case]]
    changed = [text for case, texts in said.items() for text in texts if text not in others[case]]
    assert len(changed) > 200
    assert kept == []


def run(source: str) -> Any:
    """The value of ``found`` after the reworded source has run."""
    tree = ast.parse(source)
    space: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(Rewording(names_in([tree])).visit(tree)), "planted", "exec"), space)
    return space["found"]


@pytest.mark.parametrize(
    "asked",
    [
        'note.endswith("are not drawn")',
        '"are not drawn" in note',
        'note == "3 numbers are not drawn"',
        're.search(r"(\\d+) numbers are not", note) is not None',
        'note.partition(" are not drawn")[1] != ""',
    ],
)
def test_a_verdict_that_parses_a_sentence_is_caught(asked: str) -> None:
    source = f'import re\nn = 3\nnote = f"{{n}} numbers are not drawn"\nfound = {asked}'
    plain: dict[str, Any] = {}
    exec(source, plain)
    assert plain["found"]
    assert not run(source)


def test_a_name_is_no_sentence_and_stays() -> None:
    source = 'from typing import Literal\nKind = Literal["dead units"]\nkind: Kind = "dead units"\n'
    assert run(f'{source}found = {{"dead units": 1}}[kind], "two words", f"{{kind}}/weight"') == (
        1,
        "gjb jbeqf",
        "dead units/weight",
    )
    assert reworded("normal") != "normal"
