"""``python -m splitstrument`` is the command line."""

from splitstrument.cli import main

main()
