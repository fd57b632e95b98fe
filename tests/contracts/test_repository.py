"""Signals about the repository as a whole: nothing of one machine in it, names that mean something, docs that agree."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import initlab

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "initlab").rglob("*.py"))

# Written in parts, so that this file does not name them either.
ONE_MACHINE = ["/" + "work/", "/" + "root/", "/" + "opt/wheels", "/" + "opt/pypi", "shared" + "/reference"]
REGISTRIES = ["pypi" + ".org", "pythonhosted" + ".org", "registry" + ".npmjs", "deb" + ".debian", "archive" + ".ubuntu"]
ALLOWED_HOST = "download.pytorch.org"


def repository_files() -> list[Path]:
    """Every file that git holds or would add."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone: nothing says which files belong to the repository")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def lines_with(patterns: list[str]) -> list[str]:
    """Where the repository's text matches one of these regular expressions; vendored files are not its text."""
    found = []
    wanted = re.compile("|".join(patterns), re.IGNORECASE)
    for file in repository_files():
        content = file.read_bytes()
        if b"\0" in content or (file.parent.name == "vendor" and file.suffix == ".js"):
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
            if wanted.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def test_no_file_names_a_path_of_one_machine() -> None:
    assert lines_with([re.escape(path) for path in ONE_MACHINE]) == []


def test_no_file_names_a_package_registry() -> None:
    assert lines_with([re.escape(host) for host in REGISTRIES]) == []


def test_dev_names_no_host_but_pytorchs_cpu_index() -> None:
    hosts = re.findall(r"https?://([^/\s\"']+)", (ROOT / "dev").read_text(encoding="utf-8"))
    assert set(hosts) == {ALLOWED_HOST}


def test_no_source_leaves_work_for_another_day() -> None:
    assert lines_with([r"\bTO" r"DO\b", r"\bFIX" r"ME\b", r"\bXX" r"X\b"]) == []


def test_no_module_is_named_after_nothing() -> None:
    names = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    assert names & {"common", "helper", "helpers", "misc", "tools", "util", "utils"} == set()


def test_no_module_bears_the_name_of_a_public_function() -> None:
    # Importing a child module sets an attribute of the package, which would replace the function of that name.
    modules = {path.stem for path in (ROOT / "src" / "initlab").iterdir()}
    functions = {name for name in initlab.__all__ if not isinstance(getattr(initlab, name), ModuleType)}
    assert functions & modules == set()


@pytest.mark.parametrize("name", sorted(initlab.__all__))
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(initlab, name)
    assert isinstance(value, str) or (value.__doc__ or "").strip()


def exported(tree: ast.Module) -> list[str]:
    """The names in a module's ``__all__``, where it is a plain list."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value)) if isinstance(node.value, ast.List | ast.Tuple) else []
    return []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_every_exported_definition_has_a_docstring(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    public = set(exported(tree))
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in public and not ast.get_docstring(node)
    ]
    assert bare == []


def test_every_page_names_the_same_commands_as_dev() -> None:
    done = subprocess.run([sys.executable, ROOT / "dev", "--help"], capture_output=True, text=True, check=True)
    commands = set(re.findall(r"\./dev (\w+)", done.stdout))
    readme, contributing = (
        set(re.findall(r"\./dev (\w+)", (ROOT / page).read_text(encoding="utf-8")))
        for page in ("README.md", "CONTRIBUTING.md")
    )
    assert readme <= commands
    assert contributing == commands


def test_a_commit_is_held_to_what_lint_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^ +entry: (.*)$", hooks, re.MULTILINE) == ["./dev lint"]
    assert "always_run: true" in hooks


def test_every_path_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]*)`", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("number", [0, 1, 2], ids=["scheme", "activation", "deprecation"])
def test_every_example_of_contributing_works(number: int, tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    example = tmp_path / "example.py"
    example.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number], encoding="utf-8")
    # In a process of its own: what it registers would show up in every later test.
    command = [sys.executable, "-c", "import doctest, example; raise SystemExit(doctest.testmod(example).failed)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {initlab.__version__}\n" in citation
    newest = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == initlab.__version__


def test_the_licence_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"\nlicense: {project['license']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_console_entry_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["initlab"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
