"""`python -m fillbook ...` runs the command."""

import os
import sys

from .binary import find_binary
from .errors import BookUnavailable


def main() -> None:
    """Becomes the `fillbook` command."""
    try:
        binary = find_binary()
    except BookUnavailable as error:
        raise SystemExit(f"fillbook: {error}") from None
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
