"""What each realism step of the corpus is worth to a small model: train without it, score on rendered and real songs.

    python benchmarks/realism_ablation.py                        # every arm, seed 1
    python benchmarks/realism_ablation.py --seeds 1 2 --arms all clean
    python benchmarks/realism_ablation.py --table                # what is finished so far

For each arm the same songs are rendered with some steps of `realism` switched off, until there are as many guitar pairs
as in the others; the same small network is trained on them for the same number of steps (light augmentation, as at the
end of a training), and scored on

  rendered  held-out songs with every step on: data/corpus/dev/heldout/validation/guitar
  real      the Frets on Fire songs: data/frets_on_fire, reported only, nothing is chosen by them

Figures are gains in SI-SDR over the mixture, median over excerpts. Each arm and seed runs in a process of its own and
leaves a JSON file: a second call goes on where the first ended.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ARMS: dict[str, tuple[str, ...]] = {
    "all": (),
    "clean": ("*",),
    "no amplifiers": ("amplifiers",),
    "no studio": ("equaliser", "compression", "modulation", "space"),
    "no levels, no master": ("levels", "master"),
    "no parts of our own": ("own_parts", "recast"),
    "one bank, own programs": ("random_programs", "soundfont_per_stem"),
    "no real drums, no voices": ("real_drums", "voices"),
}
RECIPE = Path("datasets/corpus_development.yaml")
TRAINING = Path("trainings/bandunet.yaml")
SETS = {"rendered": Path("data/corpus/dev/heldout/validation/guitar"), "real": Path("data/frets_on_fire")}
LIGHT_AUGMENTATION = {
    "remix": 0.2, "double": 0.05, "speed": 0.03, "drive": 0.1, "drive_rest": 0.03, "equalizer_db": 4, "low_pass": 0.05,
    "gain_db": 3, "polarity": 0.5, "absent": 0.06, "solo": 0.06,
}  # fmt: skip
RATE_HZ, TRACK_S, EXCERPT_S = 22_050, 45.0, 30
MAX_TRACKS = 80


def main() -> None:
    """Run the arms that are not finished, one process each, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], help="of the training; the songs stay")
    parser.add_argument("--pairs", type=int, default=20, help="guitar pairs of 45 s to train on (default 20)")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/realism_ablation"))
    parser.add_argument("--ingredients", type=Path, default=Path("data/ingredients"))
    parser.add_argument("--table", action="store_true", help="only print what is finished")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    todo = [(arm, seed) for seed in arguments.seeds for arm in arguments.arms]
    if arguments.one:
        run_arm(*todo[0], arguments)
        return
    for arm, seed in [] if arguments.table else todo:
        if not result_path(arguments.output, arm, seed).exists():
            own = ["--arms", arm, "--seeds", seed, "--pairs", arguments.pairs, "--steps", arguments.steps]
            places = ["-o", arguments.output, "--ingredients", arguments.ingredients]
            subprocess.run([sys.executable, __file__, "--one", *map(str, [*own, *places])], check=True)
    print(table(arguments.output))


def folder_of(output: Path, arm: str) -> Path:
    """Everything of one arm."""
    return output / arm.replace(",", "").replace(" ", "_")


def result_path(output: Path, arm: str, seed: int) -> Path:
    """Record of one arm and seed."""
    return folder_of(output, arm) / f"seed_{seed}.json"


def run_arm(arm: str, seed: int, arguments: argparse.Namespace) -> None:
    """Render, train, score; write the record."""
    from splitstrument.files import write_json

    folder = folder_of(arguments.output, arm)
    tracks = render(arm, folder / "corpus", arguments)
    run = folder / f"run_{seed}"
    if not (run / "model.onnx").exists():
        shutil.rmtree(run, ignore_errors=True)  # a training that was stopped begins again: it takes minutes
        train(folder / "corpus" / "guitar", tracks, run, seed, arguments.steps)
    gains = {name: score(run, data) for name, data in SETS.items() if data.is_dir()}
    record = {"arm": arm, "seed": seed, "pairs": len(tracks), "steps": arguments.steps, "gains": gains}
    write_json(result_path(arguments.output, arm, seed), record)
    print(arm, seed, {name: round(float(np.median(list(values.values()))), 2) for name, values in gains.items()})


def render(arm: str, folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Render songs until there are enough guitar pairs; their names, in the recipe's order."""
    from splitstrument.corpus.arrange import plan_tracks
    from splitstrument.corpus.corpus import render_corpus
    from splitstrument.corpus.recipe import CorpusRecipe, Realism
    from splitstrument.settings import load_settings

    off = tuple(Realism.model_fields) if ARMS[arm] == ("*",) else ARMS[arm]
    off = tuple(step for step in off if Realism.model_fields[step].default)
    changes = {"track_s": TRACK_S, "targets": ["guitar"], "keep_stems": False, **{f"realism.{s}": False for s in off}}
    recipe = load_settings(RECIPE, CorpusRecipe, changes).settings
    for n_tracks in range(arguments.pairs, MAX_TRACKS, 4):
        recipe = recipe.model_copy(update={"hours": n_tracks * TRACK_S / 3600})
        render_corpus(recipe, arguments.ingredients, folder)
        plans = plan_tracks(recipe, arguments.ingredients, n_tracks)
        names = [p.name for p in plans if list(folder.glob(f"guitar/tracks_*/{p.name}/instrument_*"))]
        if len(names) >= arguments.pairs:
            return names[: arguments.pairs]
    raise SystemExit(f"{arm}: {MAX_TRACKS} songs have fewer than {arguments.pairs} guitar pairs.")


def train(pairs: Path, tracks: list[str], run: Path, seed: int, steps: int) -> None:
    """Train the small network for a fixed number of steps."""
    changes = {
        "name": "realism_ablation",
        "loss.options": "{power: 0.7, emphasis: 0.3}",
        "augmentation": json.dumps(LIGHT_AUGMENTATION),
        "seed": seed,
        "model.network": "{kind: bandunet, width: 16, growth: 8}",
        "datasets": json.dumps([{"path": str(pairs), "tracks": tracks, "role": "training"}]),
        "validation_ratio": 0,
        "optimizer.learning_rate": 2.0e-3,
        "optimizer.ema": 0.998,
        "epochs": 4,
        "steps_per_epoch": steps // 4,
        "early_stopping.patience": "null",
        "compute.precision": "float32",
    }
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    program = Path(sys.executable).with_name("splitstrument")
    subprocess.run([program, "train", str(TRAINING), "-o", str(run), "--quiet", *sets], check=True)


def score(run: Path, data: Path) -> dict[str, float]:
    """Gain in SI-SDR of the instrument over the mixture, for the middle of each song."""
    import splitstrument
    from splitstrument import audio
    from splitstrument.evaluation.metrics.distortion import Distortion
    from splitstrument.pairs import find_pairs

    gains = {}
    for pair in find_pairs(data, RATE_HZ):
        instrument, rest = (audio.read(path, RATE_HZ, mono=True)[0] for path in (pair.instrument, pair.rest))
        start = max(0, (len(instrument) - EXCERPT_S * RATE_HZ) // 2)
        instrument, rest = (sound[start : start + EXCERPT_S * RATE_HZ] for sound in (instrument, rest))
        if np.square(instrument).mean() < 1e-7:
            continue
        mixture = instrument + rest
        estimate = splitstrument.separate(mixture, RATE_HZ, model=str(run)).instrument
        values = []
        for candidate in (estimate, mixture):
            distortion = Distortion()
            distortion.add(instrument, candidate)
            values.append(distortion.scores()["si_sdr"])
        if None not in values:
            gains[pair.name] = round(values[0] - values[1], 3)
    return gains


def table(output: Path) -> str:
    """Markdown table of the finished arms: medians per seed, and what the arm loses against all steps."""
    from splitstrument.tables import markdown

    records = [json.loads(path.read_text()) for path in sorted(output.glob("*/seed_*.json"))]
    rows = []
    for arm in ARMS:
        own = sorted((record for record in records if record["arm"] == arm), key=lambda record: record["seed"])
        if own:
            rows.append([arm, *(_medians(own, name) for name in SETS), _worst(own)])
    return markdown(["corpus", "rendered, held out", "real", "real, worst song"], rows)


def _medians(records: list[dict[str, Any]], name: str) -> str:
    """Median gain of each seed."""
    return ", ".join(f"{np.median(list(record['gains'][name].values())):.2f}" for record in records)


def _worst(records: list[dict[str, Any]]) -> str:
    return ", ".join(f"{min(record['gains']['real'].values()):.2f}" for record in records)


if __name__ == "__main__":
    main()
