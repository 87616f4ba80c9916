"""Run the benchmarks, one after another, most with fewer arguments than docs/ quote, and say which could not run.

Each one prints its own table; ratios are taken within one run, so they compare between machines, seconds do not.
Data that a benchmark needs and that is not there is named, not made: see docs/corpus.md and docs/datasets.md.

Examples:
    python benchmarks/run_all.py                     # an hour or more
    python benchmarks/run_all.py --only engines separation
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAIRS = "data/frets_on_fire"
SONG = f"{PAIRS}/tracks_44100hz"

# name -> (arguments, data that must be there)
BENCHMARKS: dict[str, tuple[list[str], list[str]]] = {
    "engines": (["guitar"], []),
    "network": ([], []),
    "separation": (["guitar"], []),
    "effects": ([], []),
    "mixing": ([], []),
    "metrics": ([SONG], [SONG]),
    "training": (["trainings/small_hourglass.yaml"], []),
    "datasets": ([], ["data/raw/sectoid"]),
    "rendering": ([], ["data/ingredients"]),
    "demonstrator_load": (["--model", "guitar"], []),
    "peers": (["datasets/sample/example.ogg"], [".venv-peers"]),
}


def main() -> None:
    """Run the chosen benchmarks; exit with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    failed = []
    for name in parser.parse_args().only:
        arguments, needed = BENCHMARKS[name]
        missing = [path for path in needed if not (ROOT / path).exists()]
        print(f"\n===== {name} {' '.join(arguments)}", flush=True)
        if missing:
            print(f"left out: needs {', '.join(missing)}")
        elif subprocess.run([sys.executable, f"benchmarks/{name}.py", *arguments], cwd=ROOT).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
