"""The command `hfaef`, and `python -m hfaef`; says what to install where its packages are missing."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Entry point of the console script."""
    try:
        from hfaef.cli.main import main as run
    except ModuleNotFoundError as error:
        if (error.name or "hfaef").startswith("hfaef"):
            raise
        sys.exit(_refuse(error))
    run()


def _refuse(error: ModuleNotFoundError) -> int:
    from hfaef.errors import missing_package

    missing = missing_package("the command `hfaef`", error)
    if "--json" in sys.argv:
        content = {"error": missing.message, "hint": missing.hint, "exit_code": missing.exit_code}
        sys.stdout.write(f"{json.dumps(content, indent=1)}\n")
    sys.stderr.write(f"error: {missing}\n")
    return missing.exit_code


if __name__ == "__main__":
    main()
