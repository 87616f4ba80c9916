"""Score a recogniser beside its baselines, and write the tables of docs/recognition.md.

python -m splitstrument.recognition.learning.score trainings/recognise.yaml runs/recogniser
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from splitstrument.files import atomic_path, safe_name, write_text, write_yaml
from splitstrument.recognition.classes import all_classes, class_names
from splitstrument.recognition.learning import baseline
from splitstrument.recognition.learning.examples import Examples, window_scores
from splitstrument.recognition.learning.metrics import ClassScore, best_threshold, f1_score, mean_of, score_class
from splitstrument.recognition.learning.overlay import Drawer
from splitstrument.recognition.learning.recipe import RecogniserRecipe, read_recipe
from splitstrument.recognition.learning.train import kept, pool_made_of, sounds_to_examples, training_pools
from splitstrument.recognition.model import Recogniser, load_recogniser
from splitstrument.recognition.timeline import UNLIKELY
from splitstrument.spectrogram import Float

CHOSEN = "validation (thresholds chosen here)"
HEADLINE = ("guitar", "piano", "bass", "drums", "voice", "strings")
BEST = 2  # excerpts of three seconds: as long as `SONG_S` of a timeline
RARE = 10  # examples of a class below which no score is given
HEADER = (
    "| class | examples | share | guess | SVM F1 | F1 | SVM AP | AP | AUC |\n|---|---|---|---|---|---|---|---|---|\n"
)


def main() -> None:
    """Score one recogniser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("model", type=Path)
    options = parser.parse_args()
    write_scores(read_recipe(options.recipe), options.model)


def write_scores(recipe: RecogniserRecipe, folder: Path, say: Callable[[str], None] = print) -> None:
    """Score the recogniser in `folder` on what its recipe names; write ``scores.md`` and ``scores.yaml`` there."""
    recogniser = load_recogniser(folder)
    thresholds = np.array([recogniser.description.thresholds[name] for name in recogniser.classes])
    examples = {CHOSEN: sounds_to_examples(recipe.choose, recipe.cache / "choose", say)}
    for title, sounds in recipe.score.items():
        examples[title] = sounds_to_examples(sounds, recipe.cache / safe_name(title).replace(" ", "_"), say)
    machines = _baseline_scores(recipe, examples, say)
    svm_thresholds = _thresholds(examples[CHOSEN], machines[CHOSEN])
    text, data = "", {}
    for title, one in examples.items():
        ours = scores_of(recogniser, one.features)
        table, numbers = _table(one, ours, thresholds, machines[title], svm_thresholds)
        text += (
            f"### {title}\n{len(one)} excerpts of three seconds from {len(set(one.song.tolist()))} files.\n\n{table}\n"
        )
        data[title] = numbers
    text += _absences([(one, scores_of(recogniser, one.features)) for one in examples.values()], thresholds)
    write_text(folder / "scores.md", text)
    write_yaml(folder / "scores.yaml", data)
    say(text)


def _baseline_scores(
    recipe: RecogniserRecipe, examples: dict[str, Examples], say: Callable[[str], None]
) -> dict[str, Float]:
    """Scores of the support vector machines, from a file where they are kept from before."""
    path = recipe.cache / "svm.npz"
    scored = recipe.model_dump(mode="json", include={"choose", "score", "baseline_overlays"})
    lengths = {title: len(one) for title, one in examples.items()}
    with kept(path, [pool_made_of(recipe), scored, lengths]) as is_kept:
        if not is_kept:
            say("fitting support vector machines")
            drawer = Drawer(training_pools(recipe, say), np.random.default_rng(recipe.seed + 1))
            machines = baseline.fit(*baseline.drawn_examples(drawer, recipe.baseline_overlays))
            found = {title: machines.scores(one.features) for title, one in examples.items()}
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **found)  # type: ignore[arg-type]  # numpy's stub takes any key for `allow_pickle`
    with np.load(path, allow_pickle=False) as data:
        return {title: data[title] for title in examples}


def scores_of(recogniser: Recogniser, features: Float) -> Float:
    """Scores of excerpts: (n, n_frames, n_mels) to (n, n_classes)."""
    parts = [recogniser.predict(features[i : i + 64].astype(np.float32)) for i in range(0, len(features), 64)]
    return window_scores(np.concatenate(parts))


def _thresholds(chosen: Examples, scores: Float) -> Float:
    return np.array([best_threshold(chosen.labels[:, c], scores[:, c]) for c in range(scores.shape[1])])


def _table(
    examples: Examples, ours: Float, thresholds: Float, svm: Float, svm_thresholds: Float
) -> tuple[str, dict[str, object]]:
    """Markdown of one set of examples, and its numbers."""
    rows: dict[str, tuple[ClassScore, ClassScore]] = {}
    for index, name in enumerate(all_classes()):
        labels = examples.labels[:, index]
        if min((labels == 1).sum(), (labels == 0).sum()) >= RARE:
            rows[name] = (
                score_class(labels, ours[:, index], thresholds[index]),
                score_class(labels, svm[:, index], svm_thresholds[index]),
            )
    text = HEADER + "".join(_row(all_classes()[name].title, *scores) for name, scores in rows.items())
    n = len(class_names())
    numbers: dict[str, object] = {}
    for title, names in (("macro, all classes", class_names()), ("macro, the six of the goal", HEADLINE)):
        there = [rows[name] for name in names if name in rows]
        means = [
            mean_of([score.f1 for score, _ in there]),
            mean_of([score.f1 for _, score in there]),
            mean_of([score.average_precision for score, _ in there]),
            mean_of([score.average_precision for _, score in there]),
            mean_of([guess(score) for score, _ in there]),
        ]
        numbers[title] = dict(zip(("f1", "svm_f1", "ap", "svm_ap", "guess"), means, strict=True))
        text += f"| **{title}** ({len(there)}) | | | {_n(means[4])} | {_n(means[1])} | {_n(means[0])} |"
        text += f" {_n(means[3])} | {_n(means[2])} | |\n"
    micro = [f1_score(examples.labels[:, :n], (s >= t)[:, :n]) for s, t in ((ours, thresholds), (svm, svm_thresholds))]
    numbers["micro"] = {"f1": micro[0], "svm_f1": micro[1]}
    text += f"| **micro** | | | | {_n(micro[1])} | {_n(micro[0])} | | | |\n"
    numbers["classes"] = {name: {**vars(score), "svm_f1": svm_.f1} for name, (score, svm_) in rows.items()}
    return text, numbers


def _absences(scored: list[tuple[Examples, Float]], thresholds: Float) -> str:
    """Songs with and without an instrument that would be said to have none (the two most probable excerpts count)."""
    text = "### Said to be absent\nSongs of all sets, as `separate` would say it.\n\n"
    text += "| instrument | of songs without it | of songs with it |\n|---|---|---|\n"
    for name in HEADLINE:
        column = list(all_classes()).index(name)
        said: dict[bool, list[bool]] = {True: [], False: []}
        for examples, scores in scored:
            for song in np.unique(examples.song):
                mine = examples.song == song
                labels, best = examples.labels[mine, column], np.sort(scores[mine, column])[-BEST:]
                if (labels == 1).sum() > BEST or (labels == 0).all():
                    absent = bool(best.mean() < UNLIKELY * thresholds[column])
                    said[bool((labels == 1).any())].append(absent)
        text += f"| {name} | {_of(said[False])} | {_of(said[True])} |\n"
    return text


def _of(said: list[bool]) -> str:
    return f"{sum(said)} of {len(said)}"


def guess(score: ClassScore) -> float | None:
    """F1 of the better guess without ears: always yes (never yes has 0, and so has yes at random less)."""
    return None if score.share is None else 2 * score.share / (1 + score.share)


def _row(title: str, ours: ClassScore, svm: ClassScore) -> str:
    cells = [guess(ours), svm.f1, ours.f1, svm.average_precision, ours.average_precision, ours.auc]
    return f"| {title} | {ours.n_known} | {_n(ours.share)} | {' | '.join(map(_n, cells))} |\n"


def _n(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
