"""The demonstrator: a web.py application that separates songs and plays the result.

Routes, templates and static files; computing is `splitstrument`'s. How a request becomes sound:

    routes -> store (a job in SQLite) -> workers (processes that keep the engine) -> work (separate, draw) -> files

`server` puts these together; `splitstrument demo` starts it.
"""
