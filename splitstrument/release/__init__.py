"""Make the models that ship: score, choose, package, write cards.

Each step is a command of its own: ``python -m splitstrument.release.<step> --help``.
"""
