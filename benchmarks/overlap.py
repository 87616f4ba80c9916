"""Does it pay to let chunks overlap more? SI-SDR of a model on validation songs, for several overlaps.

    python benchmarks/overlap.py guitar
    python benchmarks/overlap.py guitar --pairs data/muldjord/tracks_22050hz

The middle of each song (`benchmarks/validation.py`), separated as `splitstrument separate` does, but without gates.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from validation import excerpts, si_sdr

import splitstrument
from splitstrument.audio import probe
from splitstrument.pairs import find_pairs
from splitstrument.separation.options import NO_GATE_DB, SeparationOptions
from splitstrument.separation.pipeline import load_model

OVERLAPS = (0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)


def main() -> None:
    """Print a line for each overlap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model or run folder")
    parser.add_argument("--pairs", type=Path, help="[default: data/corpus/dev/heldout/validation/<target>]")
    parser.add_argument("--seconds", type=int, default=60, help="of each song")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    folder = arguments.pairs or Path(f"data/corpus/dev/heldout/validation/{model.settings.target}")
    rate_hz = probe(find_pairs(folder)[0].instrument).sample_rate_hz
    songs = list(excerpts(folder, None, arguments.seconds))
    for overlap in OVERLAPS:
        options = SeparationOptions(overlap=overlap, gate_db=NO_GATE_DB, rest_gate_db=NO_GATE_DB)
        separated = (splitstrument.separate(one + rest, rate_hz, model, options=options) for one, rest in songs)
        scores = [si_sdr(one, answer.instrument) for (one, _), answer in zip(songs, separated, strict=True)]
        print(f"overlap {overlap:g}: SI-SDR median {np.median(scores):.2f}, mean {np.mean(scores):.2f}", flush=True)


if __name__ == "__main__":
    main()
