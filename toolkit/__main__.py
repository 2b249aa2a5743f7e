"""`python -m toolkit`: the command line without the installed script."""

from __future__ import annotations

from toolkit.cli.app import main

if __name__ == "__main__":
    main()
