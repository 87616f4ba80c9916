"""How fast a corpus is rendered: seconds of music per second of processor time on one core, all stems and effects.

    python benchmarks/rendering.py --tracks 6 --ingredients data/ingredients

Processor time (this process and the synthesizer's) is what counts: it does not change when the machine is shared.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from splitstrument.corpus import arrange, track
from splitstrument.corpus.recipe import CorpusRecipe
from splitstrument.settings import load_settings

RECIPE = Path(__file__).resolve().parent.parent / "datasets" / "corpus_development.yaml"


def processor_s() -> tuple[float, float]:
    """Processor seconds of this process and of its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return tuple(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Render some tracks into a temporary folder and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=6)
    parser.add_argument("--ingredients", type=Path, default=Path("data/ingredients"))
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    arguments = parser.parse_args()
    import scipy.ndimage
    import scipy.signal  # noqa: F401  imported once per worker, not once per track

    recipe = load_settings(arguments.recipe, CorpusRecipe).settings
    plans = arrange.plan_tracks(recipe, arguments.ingredients, arguments.tracks)
    music_s = takes = size = 0.0
    before, started = processor_s(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for plan in plans:
            record = track.render_track(plan, recipe, arguments.ingredients, Path(folder))
            music_s += record["duration_s"]
            takes += sum(player["takes"] for player in record["players"])
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    own, synthesizer = (after - start for after, start in zip(processor_s(), before, strict=True))
    print(f"{arguments.tracks} tracks, {music_s:.0f} s of music, {takes:.0f} takes of stems")
    print(f"processor time {own + synthesizer:.1f} s (synthesizer and MMA {synthesizer:.1f} s)")
    print(f"{music_s / (own + synthesizer):.1f} x real time per core; {time.monotonic() - started:.0f} s by the clock")
    print(f"{size / music_s * 3600 / 1e6:.0f} MB an hour")


if __name__ == "__main__":
    main()
