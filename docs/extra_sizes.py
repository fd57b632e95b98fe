"""What each extra brings beside the core, in MB of files on this machine: prints the README's table.

python docs/extra_sizes.py      # in an environment that holds them

Of a package the files that it lists are counted, without compiled byte code; what two extras share counts in both.
"""

from __future__ import annotations

import platform
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SHOWN = ("cli", "torch", "keras", "flax", "lab", "trackers")


def packages(requirements: Iterable[str], found: dict[str, int | None]) -> dict[str, int | None]:
    """Bytes by package, with all that they need themselves; None of one that is not installed."""
    for requirement in map(Requirement, requirements):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name == PROJECT["name"]:
            for extra in requirement.extras:
                packages(EXTRAS[extra], found)
        elif name not in found:
            found[name] = size(name)
            if found[name] is not None:
                packages(distribution(name).requires or (), found)
    return found


def size(name: str) -> int | None:
    """Bytes of a package's own files; None where it is not installed."""
    try:
        files = distribution(name).files or ()
    except PackageNotFoundError:
        return None
    places = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(place.stat().st_size for place in places if place.is_file())


def main() -> None:
    """Print a line an extra."""
    core = packages(PROJECT["dependencies"], {})
    own = sum(path.stat().st_size for path in (Path(__file__).parents[1] / "src").rglob("*") if path.suffix != ".pyc")
    print(f"{platform.system()} {platform.machine()}, Python {sys.version_info.major}.{sys.version_info.minor}")
    print(f"core {(own + sum(n or 0 for n in core.values())) / 1e6:.0f} MB")
    for extra in SHOWN:
        added = {name: n for name, n in packages(EXTRAS[extra], dict(core)).items() if name not in core}
        lacking = ", ".join(name for name, n in added.items() if n is None)
        print(f"{extra} {sum(n or 0 for n in added.values()) / 1e6:.0f} MB", f"without {lacking}" if lacking else "")


if __name__ == "__main__":
    main()
