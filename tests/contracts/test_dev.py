"""The script `dev`: what it installs and when, where PyTorch comes from, and how it ends."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and symbolic links as POSIX has them")


def load(script: Path) -> ModuleType:
    """The script as a module; it takes the folder that it lies in for its clone."""
    loader = SourceFileLoader("dev", str(script))
    spec = importlib.util.spec_from_loader("dev", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "dev", module)  # dataclasses look their module up by name
        patch.setattr(sys, "dont_write_bytecode", True)
        loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    """The script of this repository."""
    return load(ROOT / "dev")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with a space in its name, that holds `dev` and a .venv whose stamp says that all is installed."""
    root = tmp_path / "a clone"
    root.mkdir()
    shutil.copy(ROOT / "dev", root)
    shutil.copy(ROOT / "pyproject.toml", root)
    dev = load(root / "dev")
    dev.program("python").parent.mkdir(parents=True)
    dev.program("python").symlink_to(sys.executable)
    dev.write_stamp(dev.stamp_file(), dev.current(dev.EVERYTHING))
    return root


def give(clone: Path, name: str, script: str) -> None:
    """Put a program into the clone's .venv."""
    file = clone / ".venv" / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(0o755)


def call(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


# Parsing and help


def test_dev_parses_on_the_python_that_it_refuses() -> None:
    ast.parse((ROOT / "dev").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_an_older_python_is_told_what_is_needed_before_anything_newer_is_imported() -> None:
    older = "import sys; sys.version_info = (3, 9, 2); sys.modules['tomllib'] = None\n"
    older += (ROOT / "dev").read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", older], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "initlab needs Python 3.11 or newer, this is 3.9" in done.stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    done = call(ROOT / "dev", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(f"./dev {name}" in done.stdout for name in ("setup", "demo", "test", "lint", "bench", "docs"))


@pytest.mark.parametrize("arguments", [["tset"], ["demo", "--seeds"], ["bench", "strtup"], ["setup", "--al"]])
def test_a_wrong_argument_is_one_line_and_exit_code_2(clone: Path, arguments: list[str]) -> None:
    done = call(clone / "dev", *arguments, cwd=clone)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dev: error: ")
    assert done.stderr.count("\n") == 1


# The stamp


def test_nothing_is_installed_when_the_stamp_holds_all_that_is_wanted(dev: ModuleType) -> None:
    assert dev.to_install(dev.Stamp("/clone", "f", dev.EVERYTHING), dev.Stamp("/clone", "f", dev.DEMO)) == frozenset()


def test_more_extras_are_added_to_those_that_are_there(dev: ModuleType) -> None:
    stamp = dev.Stamp("/clone", "f", frozenset({"lab", "ray"}))
    assert dev.to_install(stamp, dev.Stamp("/clone", "f", dev.EVERYTHING)) == dev.EVERYTHING | {"ray"}


@pytest.mark.parametrize(("root", "fingerprint"), [("/elsewhere", "f"), ("/clone", "g")])
def test_another_folder_or_project_file_installs_anew(dev: ModuleType, root: str, fingerprint: str) -> None:
    stamp = dev.Stamp("/clone", "f", dev.EVERYTHING)
    assert dev.to_install(stamp, dev.Stamp(root, fingerprint, dev.DEMO)) == dev.DEMO


def test_the_fingerprint_follows_the_project_file_and_the_interpreter(dev: ModuleType) -> None:
    texts = [(b"a", Path("/python3.11")), (b"b", Path("/python3.11")), (b"a", Path("/python3.12"))]
    assert len({dev.fingerprint(*text) for text in texts}) == 3


def test_a_stamp_is_read_back_as_it_was_written(dev: ModuleType, tmp_path: Path) -> None:
    stamp = dev.Stamp("/a clone", "f", dev.EVERYTHING)
    dev.write_stamp(tmp_path / "stamp.json", stamp)
    assert dev.read_stamp(tmp_path / "stamp.json") == stamp
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("text", [None, "", '{"root": "/clone", "fing', "[]", '{"root": "/clone"}'])
def test_a_missing_or_torn_stamp_says_that_nothing_is_installed(
    dev: ModuleType, tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "stamp.json").write_text(text, encoding="utf-8")
    assert dev.read_stamp(tmp_path / "stamp.json") is None


# Installing


@pytest.fixture
def installer(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What pip was asked for, in a clone whose .venv works but holds nothing yet."""
    asked: list[tuple[str, ...]] = []

    def pip(*arguments: str, **_options: object) -> int:
        asked.append(arguments)
        return 0

    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv-oldest").mkdir()
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    replaced = {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "OLDEST": tmp_path / ".venv-oldest",
        "PYPROJECT": tmp_path / "pyproject.toml",
        "pip": pip,
        "ask_pip": lambda *_arguments, **_options: dev.Answer(0, '{"install": []}'),
        "venv_works": lambda _stamp, **_options: True,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(dev, name, value)
    return asked


def test_a_second_command_installs_nothing(dev: ModuleType, installer: list[tuple[str, ...]]) -> None:
    dev.ready(dev.EVERYTHING, venv=dev.VENV)
    dev.ready(dev.DEMO, venv=dev.VENV)
    assert installer == [("install", "-qq", "--editable", extras) for extras in (".[dev,keras,lab]", ".[dev-torch]")]


def test_a_changed_project_file_installs_again(dev: ModuleType, installer: list[tuple[str, ...]]) -> None:
    dev.ready(dev.DEMO, venv=dev.VENV)
    dev.PYPROJECT.write_text(dev.PYPROJECT.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    dev.ready(dev.DEMO, venv=dev.VENV)
    assert len(installer) == 2


def test_a_failed_installation_leaves_no_stamp(
    dev: ModuleType, installer: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.ready(dev.DEMO, venv=dev.VENV)
    monkeypatch.setattr(dev, "pip", lambda *_arguments, **_options: 1)
    with pytest.raises(dev.DevError, match="pip failed"):
        dev.ready(dev.EVERYTHING, venv=dev.VENV)
    assert dev.read_stamp(dev.stamp_file(dev.VENV)) is None


def test_a_python_without_venv_is_told_what_to_install(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name)
    with pytest.raises(dev.DevError, match="apt install python3-venv"):
        dev.make_venv()


def test_a_half_made_venv_does_not_count_as_one(dev: ModuleType, tmp_path: Path) -> None:
    python = dev.program("python", venv=tmp_path)
    python.parent.mkdir()
    python.symlink_to(tmp_path / "gone")
    assert not dev.venv_works(None, venv=tmp_path)


# The lowest versions

PROJECT = """
[project]
name = "initlab"
dependencies = ["numpy>=1.26"]
[project.optional-dependencies]
jax = ["jax>=0.9", "optax>=0.2.4"]
flax = ["flax>=0.12", "jax>=0.10"]
torch = ["torch>=2.6"]
dev = ["initlab[jax]", "tensorflow-cpu>=2.19; platform_machine == 'x86_64'"]
"""


def test_the_floors_are_the_highest_that_any_extra_names(dev: ModuleType) -> None:
    assert dev.floors(PROJECT) == ["flax==0.12", "jax==0.10", "numpy==1.26", "optax==0.2.4", "tensorflow-cpu==2.19"]


def test_a_requirement_without_a_floor_is_refused(dev: ModuleType) -> None:
    with pytest.raises(dev.DevError, match=r"'numpy' names no lowest version"):
        dev.floors(PROJECT.replace("numpy>=1.26", "numpy"))


def test_every_requirement_of_the_project_names_a_floor(dev: ModuleType) -> None:
    assert len(dev.floors((ROOT / "pyproject.toml").read_text(encoding="utf-8"))) > 20


def test_the_oldest_are_installed_into_an_environment_of_their_own(
    dev: ModuleType, installer: list[tuple[str, ...]]
) -> None:
    dev.ready(dev.EVERYTHING, venv=dev.OLDEST)
    file = dev.OLDEST / "floors.txt"
    assert installer[0] == ("install", "-qq", "--constraint", str(file), "--editable", ".[dev,keras,lab]")
    numpy = next(line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("numpy"))
    assert f'"{numpy.replace("==", ">=")}"' in dev.PYPROJECT.read_text(encoding="utf-8")
    assert dev.read_stamp(dev.stamp_file(dev.VENV)) is None


@POSIX
def test_the_tests_run_with_the_oldest_when_asked(clone: Path) -> None:
    dev = load(clone / "dev")
    for venv in (dev.VENV, dev.OLDEST):
        python = dev.program("python", venv=venv)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.unlink(missing_ok=True)
        python.write_text(f'#!/bin/sh\necho "{venv.name}: $*"\n', encoding="utf-8")
        python.chmod(0o755)
        dev.write_stamp(dev.stamp_file(venv), dev.current(dev.EVERYTHING, venv=venv))
    assert call(clone / "dev", "test", "--oldest", "-k", "x", cwd=clone).stdout == ".venv-oldest: -m pytest -k x\n"
    assert call(clone / "dev", "test", "-k", "x", cwd=clone).stdout == ".venv: -m pytest -k x\n"


# Where PyTorch comes from


class FakePip:
    """A pip that knows one local torch, and that cannot do what is listed in ``fails``."""

    def __init__(self, dev: ModuleType, *, local: str | None = None, installed: bool = False, fails: str = "") -> None:
        self.answer = dev.Answer(1, "")
        if installed or local is not None:
            found = [] if installed else [{"metadata": {"name": "torch", "version": local}}]
            self.answer = dev.Answer(0, json.dumps({"install": found}))
        self.fails = fails
        self.steps: list[tuple[str, str]] = []

    def ask(self, *_arguments: str) -> object:
        return self.answer

    def run(self, *arguments: str, env: dict[str, str] | None = None, **_options: object) -> int:
        index = (env or {}).get("PIP_INDEX_URL", "default")
        self.steps.append((arguments[-1], index))
        return int(index in self.fails.split())


def test_a_local_cpu_wheel_comes_first(dev: ModuleType) -> None:
    pip = FakePip(dev, local="2.13.0+cpu")
    assert "on this machine" in dev.install_torch(pip.run, pip.ask, "torch>=2.6")
    assert pip.steps == [("torch==2.13.0+cpu", "default")]


@pytest.mark.parametrize("local", ["2.13.0", None])
def test_without_a_local_cpu_wheel_pytorchs_own_cpu_index_is_next(dev: ModuleType, local: str | None) -> None:
    pip = FakePip(dev, local=local)
    assert dev.install_torch(pip.run, pip.ask, "torch>=2.6") == "from its CPU index"
    assert pip.steps[0] == ("torch>=2.6", dev.CPU_INDEX)


def test_the_default_index_comes_last(dev: ModuleType) -> None:
    pip = FakePip(dev, fails=dev.CPU_INDEX)
    assert dev.install_torch(pip.run, pip.ask, "torch>=2.6") == "from the default index of pip"
    assert [index for _, index in pip.steps] == [dev.CPU_INDEX, "default"]


def test_a_torch_that_is_installed_stays(dev: ModuleType) -> None:
    pip = FakePip(dev, installed=True)
    assert dev.install_torch(pip.run, pip.ask, "torch>=2.6") == "already there"
    assert pip.steps == []


def test_no_torch_at_all_names_the_way_without(dev: ModuleType) -> None:
    pip = FakePip(dev, fails=f"{dev.CPU_INDEX} default")
    with pytest.raises(dev.DevError, match="--no-torch"):
        dev.install_torch(pip.run, pip.ask, "torch>=2.6")


def test_the_oldest_torch_is_its_floor_as_a_cpu_build(dev: ModuleType) -> None:
    pip = FakePip(dev)
    assert dev.install_oldest_torch(pip.run, pip.ask, "torch>=2.6") == "torch==2.6, from its CPU index"
    assert pip.steps == [("torch==2.6", dev.CPU_INDEX), ("torch==2.6", "default")]


def test_no_cpu_build_of_the_oldest_torch_takes_any_and_says_so(dev: ModuleType) -> None:
    pip = FakePip(dev, local="2.13.0+cpu", fails=dev.CPU_INDEX)
    said = dev.install_oldest_torch(pip.run, pip.ask, "torch>=2.6")
    assert said == "no CPU build of torch==2.6 can be had; 2.13.0+cpu, a wheel on this machine"
    assert pip.steps[-1] == ("torch==2.13.0+cpu", "default")


def test_the_torch_wanted_is_the_one_of_the_extra(dev: ModuleType) -> None:
    text = '[project.optional-dependencies]\ntorch = ["torch>=9"]\n'
    assert dev.torch_requirement(text) == "torch>=9"


def test_no_torch_is_not_passed_on(dev: ModuleType) -> None:
    assert dev.wanted(["-x", "--no-torch", "tests"]) == (dev.EVERYTHING - dev.TORCH, ["-x", "tests"])


# How it runs


@POSIX
def test_the_demo_compares_iris_from_any_folder_and_through_a_link(clone: Path, tmp_path: Path) -> None:
    give(clone, "initlab", 'echo "$PWD: $*"')
    (tmp_path / "link").symlink_to(clone / "dev")
    done = call(tmp_path / "link", "demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{clone}: compare iris --splits 5 --seeds 4\n"


@POSIX
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 130", 130), ("kill -9 $$", 137)])
def test_the_exit_code_is_the_commands_own(clone: Path, script: str, code: int) -> None:
    give(clone, "initlab", script)
    assert call(clone / "dev", "demo", cwd=clone).returncode == code


@POSIX
def test_lint_runs_and_reports_every_check_though_one_fails(clone: Path) -> None:
    for name in ("ruff", "mypy", "lint-imports"):
        give(clone, name, "exit 1" if name == "mypy" else "exit 0")
    done = call(clone / "dev", "lint", cwd=clone)
    assert done.returncode == 1
    expected = ["passed  ruff check", "passed  ruff format --check", "FAILED  mypy", "passed  lint-imports"]
    assert done.stderr.splitlines() == [f"dev: {line}" for line in expected]


TIDY = "trap 'echo tidy; exit 0' INT TERM; {first}; while :; do sleep 0.05; done"


@contextmanager
def demo_of(clone: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process in a group of its own, of which nothing is left afterwards."""
    command = [sys.executable, str(clone / "dev"), "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@POSIX
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_then_dev(clone: Path, number: signal.Signals, code: int) -> None:
    give(clone, "initlab", TIDY.format(first="echo started"))
    with demo_of(clone) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        # As a terminal does it, Ctrl-C goes to the whole group; SIGTERM goes to dev alone.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        assert process.communicate(timeout=9)[0] == "tidy\n"
        assert process.returncode == code


@POSIX
def test_a_signal_that_comes_while_the_command_starts_is_passed_on(clone: Path) -> None:
    give(clone, "initlab", TIDY.format(first="kill -TERM $PPID"))
    with demo_of(clone) as process:
        assert process.communicate(timeout=9)[0] == "tidy\n"
        assert process.returncode == 143


@POSIX
def test_ci_runs_lint_test_and_wheel_without_standard_input(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "dev").write_text('#!/bin/sh\necho "$CI $*: $(cat)"\n', encoding="utf-8")
    (tmp_path / "dev").chmod(0o755)
    command = ["sh", "-c", '"$0" <&-', str(tmp_path / ".ci" / "run")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "true lint: \ntrue test: \ntrue wheel: \n", "")
