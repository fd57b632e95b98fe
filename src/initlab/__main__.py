"""``python -m initlab``."""

import sys

from initlab.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
