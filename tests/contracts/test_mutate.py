"""The mutations that `./dev mutate` makes, the tests that it takes for related, and its list of equivalent changes."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "mutation"

SOURCE = '''"""Of 2 parts."""
from typing import Literal

Two = Literal[1, 2]


def scaled(x: float, *, by: float = 2.0, **rest: int | None) -> float:
    """Half of 4 is 2."""
    if not x < 1.5:
        raise ValueError(f"{x + 1} is 1 too many")
    return -x / by


class Box:
    def is_full(self, n: int) -> bool:
        return n == 3 and True
'''


def equivalents() -> list[dict[str, str]]:
    return tomllib.loads((FOLDER / "equivalent.toml").read_text(encoding="utf-8")).get("mutation", [])


def test_every_equivalent_mutation_names_a_line_that_is_there_and_a_reason() -> None:
    for entry in equivalents():
        lines = {line.strip() for line in (ROOT / entry["file"]).read_text(encoding="utf-8").splitlines()}
        assert entry["before"] in lines or " " in entry["before"], entry
        assert entry["before"] != entry["after"]
        assert len(entry["reason"]) > 20


@pytest.fixture(scope="module")
def mutate() -> ModuleType:
    """The script, where the extra mutate is installed."""
    pytest.importorskip("cosmic_ray", reason="cosmic-ray is in the extra mutate")
    pytest.importorskip("coverage", reason="coverage is in the extra mutate")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import mutate

        return mutate


@pytest.fixture
def changes(mutate: ModuleType, tmp_path: Path) -> set[tuple[str, str]]:
    """The function and the changed line of every mutation of the source."""
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    found = mutate.mutations(tmp_path, "a.py")
    return {(mutation.function, mutate.change(SOURCE, mutation).after) for mutation in found}


def test_arithmetic_comparisons_constants_and_returned_values_are_changed(changes: set[tuple[str, str]]) -> None:
    assert {
        ("scaled", "return -x * by"),
        ("scaled", "return x / by"),
        ("scaled", "return None"),
        ("scaled", "if not x <= 1.5:"),
        ("scaled", "if not x >= 1.5:"),
        ("Box.is_full", "return n != 3 and True"),
        ("Box.is_full", "return n == 3 or True"),
        ("Box.is_full", "return n == 3 and False"),
    } <= {(function, " ".join(after.split())) for function, after in changes}
    assert ("scaled", "if not x < 2.5:") in {(function, " ".join(after.split())) for function, after in changes}


def test_texts_types_and_stars_are_left_alone(changes: set[tuple[str, str]]) -> None:
    changed = [after for _, after in changes]
    assert not [after for after in changed if "Literal" in after or "raise" in after or "parts" in after]
    signatures = [" ".join(after.split()) for after in changed if after.startswith("def scaled")]
    assert sorted(signatures) == [
        f"def scaled(x: float, *, by: float = {number}, **rest: int | None) -> float:" for number in ("1.0", "3.0")
    ]


def test_the_tests_of_a_function_are_those_that_enter_it_else_its_files(mutate: ModuleType) -> None:
    found = mutate.TestMap({"a": 1.0, "b": 2.0, "c": 3.0}, {"x.py::f": ["a"], "x.py::g": ["b"], "y.py::f": ["c"]})
    assert found.tests_of("x.py", "f") == {"a"}
    assert found.tests_of("x.py", "f.inner") == {"a"}
    assert found.tests_of("x.py", "") == found.tests_of("x.py", "new") == {"a", "b"}
    assert found.tests_of("z.py", "f") == set()


def test_a_test_that_is_followed_again_counts_as_it_runs_now(mutate: ModuleType) -> None:
    old = mutate.TestMap({"a": 1.0, "b": 2.0}, {"x.py::f": ["a", "b"], "x.py::g": ["a"]})
    new = old.add(mutate.TestMap({"a": 9.0}, {"x.py::h": ["a"]}))
    assert new.seconds == {"a": 9.0, "b": 2.0}
    assert new.functions == {"x.py::f": ["b"], "x.py::h": ["a"]}


def test_related_tests_stay_within_the_budget_and_particular_ones_come_first(mutate: ModuleType) -> None:
    seconds = {"broad": 0.1, "narrow": 0.1, "long": mutate.BUDGET - 0.1, "short": 0.05}
    functions = {"x.py::f": list(seconds), "x.py::g": ["broad"], "x.py::h": ["broad"], "x.py::i": ["broad", "long"]}
    mutation = mutate.Mutation("x.py", "ReturnNone", 0, 1, "f")
    chosen = mutate.related_tests(mutation, mutate.TestMap(seconds, functions))
    assert chosen == ["short", "narrow", "broad"]


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another(mutate: ModuleType) -> None:
    file = "src/initlab/theory/initial_loss.py"
    first, again, other = (mutate.sample([file], 5, seed) for seed in (3, 3, 4))
    assert first == again != other
    assert len(set(first)) == 5


TESTED = "def half(x):\n    return x / 2\n\n\ndef third(x):\n    return x / 3\n"
TESTS = """from initlab.core.part import half, third


def test_half():
    assert half(8) == 4


def test_third():
    third(9)
"""


def test_a_run_finds_what_no_test_notices_and_leaves_the_checkout_alone(mutate: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    files = {"src/initlab/core/part.py": TESTED, "tests/test_part.py": TESTS}
    files |= {"src/initlab/__init__.py": "", "src/initlab/core/__init__.py": ""}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib -p no:initlab\n", encoding="utf-8")
    (root / ".gitignore").write_text(".mutation/\n__pycache__/\n", encoding="utf-8")
    (root / "mutation").mkdir()
    for script in FOLDER.iterdir():
        if script.is_file():
            (root / "mutation" / script.name).write_bytes(script.read_bytes())
    (root / "mutation" / "equivalent.toml").write_text("", encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(root)], check=True)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / "mutation" / "mutate.py"), *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=240)

    before = (root / "src/initlab/core/part.py").read_text(encoding="utf-8")
    assert "--map makes it" in run().stderr
    assert run("--map", "tests").returncode == 0
    assert json.loads((root / ".mutation" / "map.json").read_text(encoding="utf-8"))["functions"] == {
        "src/initlab/core/part.py::half": ["tests/test_part.py::test_half"],
        "src/initlab/core/part.py::third": ["tests/test_part.py::test_third"],
    }
    done = run("--sample", "2", "--seed", "3")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 2 mutations survived (50.0%), seed 3" in done.stdout
    (survivor,) = [line for line in done.stdout.splitlines() if line.startswith("src/")]
    assert survivor == "src/initlab/core/part.py:6 third (1 tests)"
    assert "  - return x / 3\n  + return x * 3\n" in done.stdout
    assert (root / "src/initlab/core/part.py").read_text(encoding="utf-8") == before
