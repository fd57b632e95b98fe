"""Which test runs which function: a map that pytest writes while it runs with this module as a plug-in.

The map is kept by function, not by line, so that it stays true while the lines around a function move.
"""

from __future__ import annotations

import ast
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData

ROOT = Path(os.environ.get("MUTATION_ROOT", ".")).resolve()
SCOPE = ("core", "theory", "schemes", "frameworks/reading", "probing")
TOP = ""
"""The name under which a map holds a module's own statements."""


@dataclass
class TestMap:
    """For each test how long it takes in seconds, and the functions it enters as ``file::Class.function``."""

    seconds: dict[str, float] = field(default_factory=dict)
    functions: dict[str, list[str]] = field(default_factory=dict)

    def tests_of(self, file: str, function: str) -> set[str]:
        """The tests that enter a function; those of the whole file for what stands at its top, or is new to the map."""
        whole = {test for key, tests in self.functions.items() if key.startswith(f"{file}::") for test in tests}
        if function == TOP:
            return whole
        around = [".".join(function.split(".")[: n + 1]) for n in reversed(range(len(function.split("."))))]
        own = (self.functions.get(f"{file}::{name}") for name in around)
        return next((set(tests) for tests in own if tests), whole)

    def add(self, other: TestMap) -> TestMap:
        """Both maps; of a test that is in both, what the other says."""
        again = set(other.seconds)
        functions = {key: [t for t in tests if t not in again] for key, tests in self.functions.items()}
        for key, tests in other.functions.items():
            functions[key] = sorted({*functions.get(key, []), *tests})
        return TestMap(self.seconds | other.seconds, {key: tests for key, tests in functions.items() if tests})


def read_map(file: Path) -> TestMap:
    """The map of a file; an empty one where there is none."""
    if not file.exists():
        return TestMap()
    return TestMap(**json.loads(file.read_text(encoding="utf-8")))


def write_map(file: Path, found: TestMap) -> None:
    """Write a map, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps({"seconds": found.seconds, "functions": found.functions}), encoding="utf-8")
    unfinished.replace(file)


def functions_by_line(source: str) -> dict[int, str]:
    """The innermost function of each line in the body of one; a line is counted from 1."""
    found: dict[int, str] = {}

    def walk(node: ast.AST, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = (*names, child.name)
                if not isinstance(child, ast.ClassDef):
                    # The line of `def` itself runs when the module is imported, so it says nothing about the function.
                    first = child.body[0].lineno
                    found.update(dict.fromkeys(range(first, (child.end_lineno or first) + 1), ".".join(inner)))
                walk(child, inner)
            else:
                walk(child, names)

    walk(ast.parse(source), ())
    return found


def functions_entered(data: CoverageData, seconds: dict[str, float]) -> TestMap:
    """The map that a trace amounts to."""
    functions: dict[str, set[str]] = defaultdict(set)
    for measured in data.measured_files():
        path = Path(measured)
        named = functions_by_line(path.read_text(encoding="utf-8"))
        for line, contexts in data.contexts_by_lineno(measured).items():
            if line in named:
                functions[f"{path.relative_to(ROOT).as_posix()}::{named[line]}"] |= set(contexts) & set(seconds)
    return TestMap(seconds, {key: sorted(tests) for key, tests in sorted(functions.items()) if tests})


class Tracer:
    """A plug-in that follows the functions of the scope through every test and adds what it saw to the map."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seconds: dict[str, float] = {}
        include = [str(ROOT / "src" / "initlab" / room / "*") for room in SCOPE]
        self.coverage = Coverage(data_file=None, include=include, config_file=False)
        self.failed: set[str] = set()

    def pytest_sessionstart(self) -> None:
        """Follow from now on."""
        self.coverage.start()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Count what runs as this test's."""
        self.coverage.switch_context(item.nodeid)
        begun = time.perf_counter()
        yield
        self.seconds[item.nodeid] = round(time.perf_counter() - begun, 4)
        self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that fails or is skipped kills nothing."""
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Add to the map."""
        self.coverage.stop()
        passed = {test: seconds for test, seconds in self.seconds.items() if test not in self.failed}
        write_map(self.file, read_map(self.file).add(functions_entered(self.coverage.get_data(), passed)))


class Outcomes:
    """A plug-in that writes how long each test took that passed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of a test."""
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        passed = {test: seconds for test, seconds in self.seconds.items() if test not in self.failed}
        self.file.write_text(json.dumps(passed), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Follow the functions, or only the outcomes, as the environment says."""
    # A doctest that is collected first would import its module before the registries that it belongs to are there.
    for room in ("schemes", "recipes.book", "tasks", "probing.diagnosis"):
        with suppress(ModuleNotFoundError):
            import_module(f"initlab.{room}")
    if "MUTATION_MAP" in os.environ:
        config.pluginmanager.register(Tracer(Path(os.environ["MUTATION_MAP"])))
    if "MUTATION_OUTCOMES" in os.environ:
        config.pluginmanager.register(Outcomes(Path(os.environ["MUTATION_OUTCOMES"])))
