"""Where the `fillbook` command is."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from .errors import BookUnavailable


def find_binary() -> str:
    """The path of the `fillbook` command.

    In this order: the environment variable `FILLBOOK_BINARY`; the scripts folder that this package was installed with
    (of the environment, of the user, or of `pip install --target`); `PATH`.

    Raises BookUnavailable when it is in none of these places.
    """
    named = os.environ.get("FILLBOOK_BINARY")
    if named:
        if not os.access(named, os.X_OK):
            raise BookUnavailable(f"FILLBOOK_BINARY names {named}, which cannot be executed")
        return named
    name = "fillbook" + (sysconfig.get_config_var("EXE") or "")
    package = Path(__file__).resolve().parent
    folders = [
        Path(sysconfig.get_path("scripts")),
        Path(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user"))),
        # Beside the package, as `pip install --target` and `--prefix` leave it.
        package.parent / "bin",
        *(parent / "bin" for parent in package.parents[2:4]),
    ]
    for folder in folders:
        candidate = folder / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which(name)
    if found:
        return found
    looked = ", ".join(dict.fromkeys(str(folder) for folder in folders))
    raise BookUnavailable(
        f"the fillbook command is not in {looked}, nor on PATH: install the wheel, or set FILLBOOK_BINARY to its path "
        f"(this is Python at {sys.executable})"
    )
