"""``livedebug-sender`` and ``python -m livedebug_sender``."""

from __future__ import annotations

import sys


def main() -> int:
    try:
        from .cli.main import cli
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.stderr.write(
            f"livedebug-sender: the command line needs {missing.name}, which is not installed; "
            'do: pip install "livedebug-sender[cli]"\n'
        )
        return 2
    cli(prog_name="livedebug-sender")
    return 0


if __name__ == "__main__":
    sys.exit(main())
