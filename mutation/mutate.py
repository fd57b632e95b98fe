"""How many small changes of the code no test notices: a sample of mutations, each with the tests related to it.

The repository is copied into a temporary folder, and only the copy is changed. The map from functions to tests lies in
``.mutation/map.json``; ``--map`` makes it, or brings it up to date for the tests that are named.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from operators import Change, Mutation, change, is_python, mutations
from tracing import SCOPE, TestMap, read_map

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
MAP = ROOT / ".mutation" / "map.json"
EQUIVALENT = HERE / "equivalent.toml"

BUDGET = 20.0
"""Seconds that the tests of one mutation may take, counted without the change."""
PATIENCE = 6.0
"""A mutation whose tests take this many times longer, and `GRACE` seconds to start, never ends."""
GRACE = 60.0

Outcome = Literal["killed", "survived", "endless", "equivalent", "untested"]


@dataclass(frozen=True)
class Verdict:
    """What became of one mutation."""

    mutation: Mutation
    change: Change
    outcome: Outcome
    tests: int


@dataclass(frozen=True)
class Equivalent:
    """A mutation that changes no result, with the reason why."""

    file: str
    function: str
    before: str
    after: str
    reason: str


def main(arguments: list[str]) -> int:
    """Run a sample and print what survived."""
    options = parse(arguments)
    if options.map:
        return trace(options.paths)
    found = read_map(MAP)
    if not found.seconds:
        print("mutate: error: no map from functions to tests: ./dev mutate --map makes it", file=sys.stderr)
        return 2
    files = files_of(options.paths)
    if not files:
        print(f"mutate: error: no file of {', '.join(SCOPE)} under {', '.join(options.paths)}", file=sys.stderr)
        return 2
    verdicts = run_sample(sample(files, options.sample, options.seed), found)
    print(summary(verdicts, options.seed))
    survived = sum(verdict.outcome in ("survived", "untested") for verdict in verdicts)
    counted = sum(verdict.outcome != "equivalent" for verdict in verdicts)
    return int(survived > options.limit * counted)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="./dev mutate", description=__doc__, allow_abbrev=False)
    parser.add_argument("paths", nargs="*", help="files or folders to change; with --map: tests to follow")
    parser.add_argument("--sample", type=int, default=30, help="how many mutations (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--limit", type=float, default=0.15, help="the share that may survive (default 0.15)")
    parser.add_argument("--map", action="store_true", help="follow the tests to learn which function each enters")
    return parser.parse_args(arguments)


def trace(tests: list[str]) -> int:
    """Run tests with the tracer and give pytest's exit code; a failing test is left out of the map, and reported."""
    environment = {"MUTATION_MAP": str(MAP), "MUTATION_ROOT": str(ROOT)}
    return pytest_run(ROOT, tests, environment).returncode


def pytest_run(
    root: Path, tests: list[str], environment: dict[str, str], **options: object
) -> subprocess.CompletedProcess:
    """Run these tests on the code under a root, in a process of its own."""
    paths = os.pathsep.join((str(root / "src"), str(HERE)))
    quiet = ["-q", "-p", "tracing", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *quiet, *tests]
    return subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": paths, **environment}, **options)


def files_of(paths: list[str]) -> list[str]:
    """The files of the scope under these paths, all where none is named; relative to the repository, sorted."""
    package = ROOT / "src" / "initlab"
    scope = [file for room in SCOPE for file in (package / room).rglob("*.py")]
    wanted = [Path(path).resolve() for path in paths] or [package]
    inside = [file for file in scope if any(path == file or path in file.parents for path in wanted)]
    return sorted(file.relative_to(ROOT).as_posix() for file in inside)


def sample(files: list[str], size: int, seed: int) -> list[Mutation]:
    """That many mutations, each as likely as any other; the same for the same files and seed."""
    everything = [mutation for file in files for mutation in mutations(ROOT, file)]
    random.Random(seed).shuffle(everything)
    chosen: list[Mutation] = []
    for mutation in everything:
        if len(chosen) == size:
            break
        if is_python(mutation.apply((ROOT / mutation.file).read_text(encoding="utf-8"))):
            chosen.append(mutation)
    return chosen


def run_sample(chosen: list[Mutation], found: TestMap) -> list[Verdict]:
    """What becomes of each mutation; printed as it comes."""
    named = equivalents()
    with TemporaryDirectory(prefix="initlab-mutation-") as folder:
        copy = Path(folder) / "copy"
        copy_checkout(copy)
        related = {mutation: related_tests(mutation, found) for mutation in chosen}
        examples = {mutation.file for mutation in chosen}  # whole files: what is new in them is in no map
        seconds = baseline(copy, sorted(examples | {test for tests in related.values() for test in tests}))
        verdicts = []
        for number, mutation in enumerate(chosen, start=1):
            own = sorted(test for test in seconds if test.startswith(f"{mutation.file}::"))
            tests = {test: seconds[test] for test in within_budget([*own, *related[mutation]], seconds)}
            verdict = judge(copy, mutation, tests, named, number)
            shown = f"\n{verdict.change}" if verdict.outcome in ("survived", "untested") else ""
            print(f"{number:4}  {verdict.outcome:10} {mutation.file}:{mutation.line}{shown}", flush=True)
            verdicts.append(verdict)
    return verdicts


def copy_checkout(copy: Path) -> None:
    """Copy every file that git holds or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)


def related_tests(mutation: Mutation, found: TestMap) -> list[str]:
    """The tests of a mutation: those that enter its function, the most particular ones first, within `BUDGET`.

    The examples in its file's docstrings come before them, whatever the map says.

    A test is the more particular the fewer functions it enters for the time that it takes.
    """
    reach = Counter(test for tests in found.functions.values() for test in tests)
    tests = found.tests_of(mutation.file, mutation.function)
    ordered = sorted(tests, key=lambda test: (reach[test] * (found.seconds.get(test, BUDGET) + 0.05), test))
    return list(within_budget(ordered, found.seconds))


def within_budget(tests: list[str], seconds: dict[str, float]) -> Iterator[str]:
    """The first tests that take no more than `BUDGET` together; one that is too long, or not known, is passed over."""
    left = BUDGET
    for test in dict.fromkeys(tests):
        taken = seconds.get(test)
        if taken is not None and taken <= left:
            left -= taken
            yield test


def baseline(copy: Path, tests: list[str]) -> dict[str, float]:
    """The tests that pass without any change, and their seconds; those that fail or are gone are named."""
    if not tests:
        return {}
    there = [test for test in tests if (copy / test.split("::")[0]).exists()]
    outcomes = copy.parent / "outcomes.json"
    arguments = copy.parent / "tests.txt"
    arguments.write_text("\n".join(there), encoding="utf-8")
    done = pytest_run(copy, [f"@{arguments}"], {"MUTATION_OUTCOMES": str(outcomes)}, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(outcomes.read_text(encoding="utf-8")) if outcomes.exists() else {}
    lost = sorted(test for test in set(tests) - set(seconds) if "::" in test)
    if not seconds:
        raise SystemExit(f"mutate: error: none of {len(tests)} tests passes without a change:\n{done.stdout[-2000:]}")
    if lost:
        print(f"mutate: {len(lost)} tests do not pass without a change and are left out: {', '.join(lost[:5])}")
    return seconds


def judge(copy: Path, mutation: Mutation, tests: dict[str, float], named: list[Equivalent], number: int) -> Verdict:
    """Change the copy, run the tests until one fails, and put the file back."""
    file = copy / mutation.file
    source = file.read_text(encoding="utf-8")
    changed = change(source, mutation)
    what = (mutation.file, mutation.function, changed.before, changed.after)
    if any((known.file, known.function, known.before, known.after) == what for known in named):
        return Verdict(mutation, changed, "equivalent", 0)
    if not tests:
        return Verdict(mutation, changed, "untested", 0)
    arguments = copy.parent / "tests.txt"
    arguments.write_text("\n".join(tests), encoding="utf-8")
    try:
        write(file, mutation.apply(source), number)
        limit = GRACE + PATIENCE * sum(tests.values())
        done = pytest_run(copy, ["-x", f"@{arguments}"], {}, capture_output=True, text=True, timeout=limit)
        outcome: Outcome = "survived" if done.returncode == 0 else "killed"
    except subprocess.TimeoutExpired:
        outcome = "endless"
    finally:
        write(file, source, -number)
    return Verdict(mutation, changed, outcome, len(tests))


def write(file: Path, source: str, number: int) -> None:
    """Write a source with a time of its own: Python takes bytecode for fresh by the second and the size alone."""
    file.write_text(source, encoding="utf-8")
    moment = file.stat().st_mtime + 10.0 * number
    os.utime(file, (moment, moment))


def equivalents() -> list[Equivalent]:
    """The mutations that are known to change no result."""
    return [Equivalent(**entry) for entry in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutation", [])]


def summary(verdicts: list[Verdict], seed: int) -> str:
    """What survived, and the shares."""
    lines = []
    for verdict in verdicts:
        if verdict.outcome in ("survived", "untested"):
            mutation = verdict.mutation
            place = f"{mutation.file}:{mutation.line} {mutation.function}".rstrip()
            told = f"{verdict.tests} tests" if verdict.tests else "no test enters it"
            lines.append(f"{place} ({told})\n{verdict.change}")
    counts = Counter(verdict.outcome for verdict in verdicts)
    survived = counts["survived"] + counts["untested"]
    counted = len(verdicts) - counts["equivalent"]
    share = f"{survived} of {counted} mutations survived ({survived / max(counted, 1):.1%}), seed {seed}"
    said = f"{share}; {counts['equivalent']} are equivalent, {counts['endless']} never ended and count as killed"
    return "\n".join([*lines, said])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
