"""What is in the wheel, and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest

import initlab

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "initlab"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built as pip builds it, from what is installed already."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; it is in the extra dev")
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", *offline, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    sources = {
        f"initlab/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources - set(wheel.namelist()) == set()


def test_the_wheel_holds_the_package_and_its_metadata_alone(wheel: zipfile.ZipFile) -> None:
    tops = {PurePosixPath(name).parts[0] for name in wheel.namelist()}
    assert tops == {"initlab", f"initlab-{initlab.__version__}.dist-info"}


@pytest.mark.parametrize(
    "pattern",
    [
        "initlab/py.typed",
        "tasks/data/*.csv*",
        "studies/*.toml",
        "report/vendor/*.js",
        "tasks/data/LICENSES.md",
        "report/vendor/LICENSES.md",
    ],
)
def test_the_wheel_holds(wheel: zipfile.ZipFile, pattern: str) -> None:
    found = [name for name in wheel.namelist() if PurePosixPath(name).match(pattern)]
    assert found
    assert all(wheel.getinfo(name).file_size > 0 or name.endswith("py.typed") for name in found)


def test_the_licence_texts_travel_in_the_metadata(wheel: zipfile.ZipFile, metadata: Message) -> None:
    licences = metadata.get_all("License-File", [])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {PurePosixPath(name).name for name in licences} == {"LICENSE", "LICENSES.md"}
    assert sum(".dist-info/licenses/" in name for name in wheel.namelist()) == len(licences) == 3


def test_the_wheel_offers_every_extra(metadata: Message) -> None:
    extras = {
        "lab",
        "cli",
        "fast",
        "torch",
        "keras",
        "jax",
        "flax",
        "ray",
        "trackers",
        "report",
        "all",
        "dev",
        "dev-torch",
        "docs",
        "mutate",
    }
    assert set(metadata.get_all("Provides-Extra", [])) == extras


def test_without_an_extra_initlab_needs_numpy_alone(metadata: Message) -> None:
    bare = [requirement for requirement in metadata.get_all("Requires-Dist", []) if "extra ==" not in requirement]
    assert [requirement.partition(">")[0] for requirement in bare] == ["numpy"]


def test_the_wheel_is_small_enough_to_try(wheel: zipfile.ZipFile) -> None:
    assert sum(info.compress_size for info in wheel.infolist()) < 3_000_000
