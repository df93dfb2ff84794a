"""``python -m presence_async`` and the script ``presence-async``."""

from __future__ import annotations

import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; needs the extra ``cli``."""
    try:
        from .cli.app import run  # noqa: PLC0415  # its libraries may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit("presence-async: pip install 'presence-async[cli]' for the commands")
    except KeyboardInterrupt:
        # While the libraries load nobody listens for signals yet.
        sys.exit(_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
