"""The command line: ``initlab``, and ``python -m initlab``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code, 2 where the packages of the command line are not installed."""
    try:
        from initlab.cli.main import main as run
    except ModuleNotFoundError as error:
        from initlab.core.extras import missing

        lacking = missing(error, "the command line")
        if lacking is None:
            raise
        print(f"initlab: error: {lacking}", file=sys.stderr)
        return lacking.exit_code
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
