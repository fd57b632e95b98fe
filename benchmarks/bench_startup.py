"""What a user waits for before anything happens: `import initlab` beside `import numpy`, and `initlab --help`.

Whole processes, interpreter included, in turn, so that a busy moment of the machine hits all of them; medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15

COMMANDS = {
    "python alone": [sys.executable, "-c", "pass"],
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import initlab": [sys.executable, "-c", "import initlab"],
    "initlab --help": [str(Path(sys.executable).with_name("initlab")), "--help"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    for command in COMMANDS.values():  # the first run writes bytecode
        seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, median in medians.items():
        print(f"{name:16} {1e3 * median:7.1f} ms  (median of {ROUNDS})")
    ratio = medians["import initlab"] / medians["import numpy"]
    print(f"import initlab takes {ratio:.2f}x the time of import numpy (aim: at most 1.5x)")
    print(f"initlab --help takes {medians['initlab --help']:.2f} s (aim: under 0.4 s)")


if __name__ == "__main__":
    main()
