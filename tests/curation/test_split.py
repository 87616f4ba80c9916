"""Splits: no song, artist or recording on both sides, names by hand, spread, and the same choice from the same seed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from splitstrument import audio
from splitstrument.cli.dataset_split import split as split_command
from splitstrument.curation.checks.findings import ChecksFile, Finding, TrackChecks, write_checks
from splitstrument.curation.split import (
    SplitOptions,
    TrackFacts,
    propose,
    read_facts,
    read_genres,
    related_groups,
    strata_of,
)
from splitstrument.curation.statistics import FileStatistics
from splitstrument.errors import DatasetError
from splitstrument.settings import read_yaml


def make_facts(n, seed=0, n_artists=8):
    rng = np.random.default_rng(seed)
    return [
        TrackFacts(
            f"track {i:03d}",
            artist=f"Artist {rng.integers(n_artists)}" if rng.random() < 0.7 else "",
            genre=str(rng.choice(["rock", "jazz", "pop"], p=[0.6, 0.3, 0.1])),
            related=(f"track {rng.integers(n):03d}",) if rng.random() < 0.1 else (),
            level_dbfs=float(rng.uniform(-40, -10)),
        )
        for i in range(n)
    ]


@given(seed=st.integers(0, 10_000), n=st.integers(20, 60))
@settings(max_examples=40, deadline=None)
def test_no_relation_crosses_the_split(seed, n):
    facts = make_facts(n, seed, n_artists=40)
    try:
        result = propose(facts, SplitOptions(evaluation=5, validation=3, seed=seed))
    except DatasetError:
        return  # the groups of this draw cannot make the numbers
    side = {name: which for which in ("evaluation", "validation", "training") for name in getattr(result, which)}
    assert len(side) == n and (len(result.evaluation), len(result.validation)) == (5, 3)
    by_artist = {}
    for one in facts:
        assert all(side[other] == side[one.name] for other in one.related)
        if one.artist:
            assert by_artist.setdefault(one.artist, side[one.name]) == side[one.name]


def test_the_seed_decides_and_nothing_else():
    facts = make_facts(60, n_artists=60)
    options = SplitOptions(evaluation=10, seed=3)
    assert propose(facts, options) == propose(facts, options)
    assert propose(facts, options) != propose(facts, SplitOptions(evaluation=10, seed=4))


def test_spread_follows_the_dataset_better_than_chance():
    facts = [TrackFacts(f"t{i}", genre="rock" if i % 10 < 6 else "jazz" if i % 10 < 9 else "pop") for i in range(100)]
    spread = propose(facts, SplitOptions(evaluation=20, seed=1)).spread["evaluation"]
    assert spread == {"rock": 12, "jazz": 6, "pop": 2}


def test_levels_split_a_genre_into_thirds():
    facts = [TrackFacts(f"t{i}", genre="Rock", level_dbfs=float(-i)) for i in range(9)]
    assert sorted(strata_of(facts).values()) == ["rock, loud"] * 3 + ["rock, middle"] * 3 + ["rock, quiet"] * 3


def test_picked_tracks_are_held_out_and_parting_relatives_is_refused():
    facts = [TrackFacts("a", artist="X"), TrackFacts("b", artist="x"), TrackFacts("c"), TrackFacts("d")]
    assert propose(facts, SplitOptions(evaluation=1, picked_evaluation=("c",))).evaluation == ("c",)
    with pytest.raises(DatasetError, match="'b' .*pick both or neither"):
        propose(facts, SplitOptions(evaluation=1, picked_evaluation=("a",)))
    alone = SplitOptions(evaluation=1, picked_evaluation=("a",), by_artist=False)
    assert propose(facts, alone).training == ("b", "c", "d")
    with pytest.raises(DatasetError, match="no track 'e'"):
        propose(facts, SplitOptions(picked_evaluation=("e",)))
    with pytest.raises(DatasetError, match="ask for fewer"):
        propose(facts, SplitOptions(evaluation=4))


def test_slakh_duplicates_stay_together(shared_data):
    """The real list of duplicate MIDI files of Slakh2100: every pair on one side."""
    duplicates = json.loads((shared_data / "slakh" / "duplicates.json").read_text())
    facts = [TrackFacts(name, related=tuple(entry["midi_duplicates"])) for name, entry in duplicates.items()]
    result = propose(facts[:600], SplitOptions(evaluation=60, seed=1))
    held_out = set(result.evaluation)
    assert sum(len(group) > 1 for group in related_groups(facts)) > 100
    for name in duplicates.keys() & {one.name for one in facts[:600]}:
        known = [other for other in duplicates[name]["midi_duplicates"] if other in {one.name for one in facts[:600]}]
        assert all((other in held_out) == (name in held_out) for other in known)


def test_genre_tables_of_the_thesis_name_the_tracks(shared_data):
    genres = read_genres(shared_data / "thesis" / "genre_tables")
    assert genres["AngelsInAmplifiers_ImAlright_Full"] == "rock punk metal"
    assert len(genres) > 140 and len(set(genres.values())) == 6


def make_dataset(folder, n):
    silence = np.zeros((800, 1), np.float32)
    for i in range(n):
        audio.write(folder / f"song {i}" / "guitar" / "g.wav", silence, 8000)
        audio.write(folder / f"song {i}" / "drums" / "d.wav", silence, 8000)


def test_audio_that_the_checks_found_twice_stays_together(tmp_path):
    make_dataset(tmp_path, 4)
    finding = Finding(
        check="duplicate", stem_class="guitar", severity=0.9, message="same audio as song 3/guitar/g.wav ()"
    )
    write_checks(tmp_path, ChecksFile(tracks={"song 1": TrackChecks(findings=(finding,))}))
    assert ("song 1", "song 3") in related_groups(read_facts(tmp_path))


def test_command_writes_lists_and_the_record(tmp_path):
    make_dataset(tmp_path, 6)
    arguments = [str(tmp_path), "--evaluation", "2", "--pick", "song 4", "--json", "--quiet"]
    dry = CliRunner().invoke(split_command, [*arguments, "--dry-run"])
    assert dry.exit_code == 0 and not (tmp_path / "evaluation.yaml").exists()
    done = CliRunner().invoke(split_command, arguments)
    chosen = json.loads(done.stdout)["evaluation"]
    assert "song 4" in chosen and len(chosen) == 2
    assert read_yaml(tmp_path / "evaluation.yaml") == chosen == json.loads(dry.stdout)["evaluation"]
    assert read_yaml(tmp_path / "split.yaml")["options"]["picked_evaluation"] == ["song 4"]
    assert CliRunner().invoke(split_command, [str(tmp_path)]).exit_code == 2


def test_a_track_picked_twice_counts_once(tmp_path):
    make_dataset(tmp_path, 4)
    arguments = ["--pick", "song 2", "--pick", "song 2", "--pick-validation", "song 1", "--pick-validation", "song 1"]
    done = CliRunner().invoke(split_command, [str(tmp_path), *arguments, "--json", "--quiet"])
    assert json.loads(done.stdout)["evaluation"] == ["song 2"] and json.loads(done.stdout)["validation"] == ["song 1"]


def test_a_track_picked_for_both_sides_is_refused(tmp_path):
    make_dataset(tmp_path, 4)
    with pytest.raises(DatasetError, match="'song 2' is picked for evaluation and for validation: pick it for one"):
        split_command.main([str(tmp_path), "--pick", "song 2", "--pick-validation", "song 2"], standalone_mode=False)
    assert not (tmp_path / "evaluation.yaml").exists()


def test_levels_of_a_part_that_is_not_there_are_refused(tmp_path):
    make_dataset(tmp_path, 4)
    with pytest.raises(DatasetError, match="'guitarr': the classes here are drums, guitar; did you mean 'guitar'"):
        split_command.main([str(tmp_path), "--pick", "song 2", "--level-of", "guitarr"], standalone_mode=False)


def test_levels_come_from_the_loudest_file():
    from splitstrument.curation.split import with_levels

    def file(level):
        return FileStatistics("a", "guitar", 1, 8000, 1, "PCM_16", 0, level, 0.5)

    (one,) = with_levels([TrackFacts("a")], [file(-30.0), file(-20.0), file(None)], "guitar")
    assert one.level_dbfs == -20
