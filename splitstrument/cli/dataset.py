"""`splitstrument dataset`: from raw stems, or from MIDI, to a checked and documented set of instrument/rest pairs."""

from __future__ import annotations

import click

from splitstrument.cli.lazy_group import LazyGroup

# name -> (module:object, help in one line), in the order in which a dataset goes through them
STEPS: dict[str, tuple[str, str]] = {
    "build": ("splitstrument.cli.dataset_build:build", "Run all steps of a recipe: resumes, skips what is unchanged."),
    "sources": ("splitstrument.cli.dataset_sources:sources", "List the raw datasets that can be read, or look at one."),
    "organise": ("splitstrument.cli.dataset_organise:organise", "Raw stems to <track>/<class>/<stem> with an index."),
    "names": ("splitstrument.cli.dataset_organise:names", "Propose classes for stems by their file names."),
    "marks": ("splitstrument.cli.dataset_marks:marks", "Export, import and count quality marks."),
    "check": ("splitstrument.cli.dataset_quality:check", "Find suspicious stems and rank what to listen to first."),
    "listen": ("splitstrument.cli.dataset_quality:listen", "Listen to stems and mark their quality."),
    "mix": ("splitstrument.cli.dataset_mix:mix", "Organised stems to instrument/rest pairs."),
    "silence": ("splitstrument.cli.dataset_silence:silence", "Cut silences of the instrument out of pairs."),
    "split": ("splitstrument.cli.dataset_split:split", "Choose the evaluation tracks: artist- and duplicate-aware."),
    "stats": ("splitstrument.cli.dataset_split:stats", "Hours, silence, levels and rates, as a table and plots."),
    "stand-ins": ("splitstrument.cli.dataset_render:stand_ins", "Render stand-ins for the thesis's datasets."),
    "fetch": ("splitstrument.cli.dataset_render:fetch", "Download what rendering needs: songs, banks, responses."),
    "render": ("splitstrument.cli.dataset_render:render", "Render a corpus of stems from MIDI songs."),
    "stem-set": ("splitstrument.cli.dataset_stem_set:stem_set", "Pairs of real songs as a stem set for training."),
    "excerpt": ("splitstrument.cli.dataset_excerpt:excerpt", "Cut a small set of excerpts out of pairs."),
}


@click.group(cls=LazyGroup, table=STEPS, context_settings={"help_option_names": ["-h", "--help"]})
def dataset() -> None:
    """Make, check, render and describe datasets.

    \b
    splitstrument dataset build datasets/frets_on_fire.yaml
    splitstrument dataset organise rockband RAW -o data/mine
    splitstrument dataset mix data/mine --target guitar -o data/mine_pairs
    """
