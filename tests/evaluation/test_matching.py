"""Who is who: estimates find their references by path, and what is not clear is refused, never mixed or dropped."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair
from tiny_models import tiny_model, tiny_settings

from splitstrument.cli import cli
from splitstrument.errors import DatasetError
from splitstrument.evaluation.matching import find_references, find_stems
from splitstrument.evaluation.record import values_of
from splitstrument.evaluation.run import EvaluationSettings, evaluate_model, score_files
from splitstrument.evaluation.schema import ESTIMATE
from splitstrument.pairs import find_pairs, md5_order

SMALL = EvaluationSettings(baselines=(), ceilings=(), n_fft=256, framewise=False, excerpts=True)


@pytest.fixture
def scored(tmp_path, rng):
    """Scores estimates of known quality at given places against references at given places; gives SI-SDR by track."""
    songs = {name: make_references(rng, 1.0) for name in ("one", "two")}

    def score(references, estimates):
        for place, song in references.items():
            write_pair(tmp_path / "ref" / Path(place).parent, Path(place).name, songs[song])
        for place, song in estimates.items():
            write_estimates(tmp_path / "est" / Path(place).parent, Path(place).name, good_estimates(songs[song], rng))
        record = score_files(tmp_path / "ref", tmp_path / "est", tmp_path / "out", SMALL)
        values = {
            track["track"]: values_of([track], ESTIMATE, "instrument", "si_sdr")[0]
            for track in record["tracks"]
            if ESTIMATE in track["scores"]
        }
        return values, record["unmatched"]

    return score


@pytest.mark.parametrize(
    ("references", "estimates"),
    [
        ({"train/song": "one", "test/song": "two"}, {"train/song": "one", "test/song": "two"}),
        ({"train/song": "one", "test/song": "two"}, {"m/train/song": "one", "m/test/song": "two"}),
        ({"cd1/x/song": "one", "cd2/x/song": "two"}, {"cd2/x/song": "two", "cd1/x/song": "one"}),
        ({"song": "one"}, {"htdemucs/song": "one"}),
        ({"test/song": "one"}, {"htdemucs/song": "one"}),
        ({"song": "one"}, {"song": "one", "old/song": "two"}),
    ],
)
def test_paths_tell_tracks_apart(scored, references, estimates):
    values, unmatched = scored(references, estimates)
    names = [Path(place).name for place in references]
    assert set(values) == set(references if len(set(names)) < len(names) else names)
    assert all(value > 10 for value in values.values())  # another song's estimate has about -20
    assert unmatched == (["old/song"] if "old/song" in estimates else [])


@pytest.mark.parametrize(
    ("references", "estimates", "named"),
    [
        ({"song": "one"}, {"model_a/song": "one", "model_b/song": "two"}, ("model_a/song", "model_b/song")),
        ({"train/song": "one", "test/song": "two"}, {"song": "one"}, ("train/song", "test/song", "est/song")),
        ({"train/song": "one", "test/song": "two"}, {"m/song": "one", "n/song": "two"}, ("m/song", "n/song")),
    ],
)
def test_what_could_be_either_is_refused_with_the_paths(scored, references, estimates, named):
    with pytest.raises(DatasetError) as error:
        scored(references, estimates)
    assert all(path in str(error.value) for path in named)


def test_instrument_of_one_model_and_rest_of_another_are_not_mixed(scored, tmp_path):
    scored({"song": "one"}, {"model_a/song": "one"})
    shutil.copytree(tmp_path / "est/model_a", tmp_path / "est/model_b")
    (tmp_path / "est/model_a/song/rest.wav").unlink()
    (tmp_path / "est/model_b/song/instrument.wav").unlink()
    with pytest.raises(DatasetError, match="model_a/song or .*model_b/song: give the folder of one model"):
        scored({}, {})


def test_an_exact_path_is_not_taken_by_another_song_of_the_name(scored, tmp_path):
    values, unmatched = scored({"a/song": "one", "b/song": "two"}, {"a/song": "one"})
    assert list(values) == ["a/song"] and values["a/song"] > 10 and not unmatched
    record = score_files(tmp_path / "ref", tmp_path / "est", tmp_path / "again", SMALL)
    assert any("b/song" in sentence for sentence in record["problems"])
    assert not any("a/song" in sentence for sentence in record["problems"])


@pytest.mark.parametrize("names", [("instrument.wav", "Instrument.flac"), ("instrument_1.wav", "instrument_2.flac")])
def test_two_files_for_one_source_are_refused(scored, tmp_path, names):
    scored({"song": "one"}, {"song": "one"})
    (tmp_path / "est/song/instrument.wav").rename(tmp_path / "est/song" / names[0])
    (tmp_path / "est/song" / names[1]).write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"could both be the instrument: keep one"):
        scored({}, {})


@pytest.mark.parametrize("name", ["instrument_preview.wma", "instrument 2.flac", "INSTRUMENT-old.wav"])
def test_the_exact_name_is_the_source_whatever_stands_beside_it(scored, tmp_path, name):
    scored({"song": "one"}, {"song": "one"})
    (tmp_path / "est/song" / name).write_bytes(b"x")
    values, _ = scored({}, {})
    assert values["song"] > 10


@pytest.mark.parametrize("name", ["instrumental.wav", "Instrumentals.flac", "restored.wav", "RESTAURANT.wav"])
def test_longer_words_are_no_sources(scored, tmp_path, name):
    scored({"song": "one"}, {"song": "one"})
    (tmp_path / "est/song" / name).write_bytes(b"x")
    (files,) = find_stems(tmp_path / "est").values()
    assert {source: path.name for source, path in files.items()} == {"instrument": "instrument.wav", "rest": "rest.wav"}


@pytest.mark.parametrize("name", ["instrument.m4a", "instrument.mogg", "instrument.wav"])
def test_an_estimate_that_cannot_be_read_is_named(tmp_path, rng, name):
    references = make_references(rng, 1.0)
    for song in ("good", "bad"):
        write_pair(tmp_path / "ref", song, references)
        write_estimates(tmp_path / "est", song, references)
    path = tmp_path / "est" / "bad" / name
    (tmp_path / "est/bad/instrument.wav").unlink()
    path.symlink_to(name) if path.suffix == ".wav" else path.write_bytes(b"x")
    record = score_files(tmp_path / "ref", tmp_path / "est", tmp_path / "out", SMALL)
    assert any(name in sentence for sentence in record["problems"])


def test_references_and_estimates_in_one_folder_or_one_track(tmp_path, rng):
    write_pair(tmp_path / "ref", "song", make_references(rng, 1.0))
    for place in ("ref", "ref/song"):
        record = score_files(tmp_path / place, tmp_path / place, tmp_path / "out", SMALL)
        assert [track["track"] for track in record["tracks"]] == ["song"] and ESTIMATE in record["tracks"][0]["scores"]


def test_an_evaluation_keeps_tracks_of_one_name_apart(tmp_path, rng):
    tiny_model(tmp_path / "model", tiny_settings(8000))
    for place in ("train", "test"):
        write_pair(tmp_path / "pairs" / place, "song", make_references(rng, 1.0))
    record = evaluate_model(str(tmp_path / "model"), tmp_path / "pairs", tmp_path / "out", SMALL)
    assert [track["track"] for track in record["tracks"]] == ["test/song", "train/song"]
    scores = [values_of([track], ESTIMATE, "instrument", "si_sdr")[0] for track in record["tracks"]]
    assert scores[0] != scores[1] and np.isfinite(scores).all()
    assert sorted(path.name for path in (tmp_path / "out" / "tracks").iterdir()) == ["test", "train"]
    assert not (tmp_path / "out" / "estimates").exists()
    chosen = evaluate_model(str(tmp_path / "model"), tmp_path / "pairs", tmp_path / "o", SMALL, names=["test/song"])
    assert [track["track"] for track in chosen["tracks"]] == ["test/song"]
    with pytest.raises(DatasetError, match="no track 'song': it has test/song, train/song"):
        evaluate_model(str(tmp_path / "model"), tmp_path / "pairs", tmp_path / "x", SMALL, names=["song"])


def test_pairs_of_one_name_are_known_by_their_paths(tmp_path, rng):
    for place in ("b", "a", "."):
        write_pair(tmp_path / place, "song", make_references(rng, 0.2))
    write_pair(tmp_path, "other", make_references(rng, 0.2))
    assert {pair.name for pair in find_pairs(tmp_path)} == {"a/song", "b/song", "song", "other"}
    assert {pair.name for pair in find_references(tmp_path)} == {"a/song", "b/song", "song", "other"}
    assert md5_order("a/song") == md5_order("song")  # the thesis's order is of names


@pytest.mark.parametrize(
    ("instrument", "rest"), [("guitar.wav", "no_guitar.wav"), ("Piano.wav", "accompaniment.wav"), ("vocals", "other")]
)
def test_other_tools_names(tmp_path, rng, instrument, rest):
    references = make_references(rng, 1.0)
    write_pair(tmp_path / "ref", "song", references)
    write_estimates(tmp_path / "est" / "model", "song", good_estimates(references, rng))
    folder = tmp_path / "est" / "model" / "song"
    for ours, theirs in (("instrument", instrument), ("rest", rest)):
        (folder / f"{ours}.wav").rename(folder / f"{Path(theirs).stem}.wav")
    names = ["--instrument", instrument.lower(), "--rest", rest]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        arguments = ["score", "ref", "est", *names, "--no-v4", "--no-baselines", "--quiet"]
        done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "results" / "scores" / "est" / "ref" / "evaluation.yaml").is_file()
    refused = CliRunner().invoke(cli, ["score", "ref", "est", "--instrument", "rest"])
    assert refused.exit_code == 2 and "they must differ" in refused.output


@pytest.mark.parametrize(("instrument", "rest"), [("piano", "piano_rest"), ("no_piano", "no")])
def test_the_longer_of_two_names_is_tried_first(tmp_path, instrument, rest):
    for name in (instrument, rest):
        (tmp_path / "song").mkdir(exist_ok=True)
        (tmp_path / "song" / f"{name}.wav").touch()
    (found,) = find_stems(tmp_path, {"instrument": instrument, "rest": rest}).values()
    assert {source: path.stem for source, path in found.items()} == {"instrument": instrument, "rest": rest}


def test_delayed_noise_is_shifted_and_not_swapped(tmp_path, rng):
    references = 0.1 * rng.standard_normal((2, 16000, 1)).astype(np.float32)
    write_pair(tmp_path / "ref", "song", references)
    write_estimates(tmp_path / "est", "song", np.roll(references, 100, axis=1))
    record = score_files(tmp_path / "ref", tmp_path / "est", tmp_path / "out", SMALL)
    assert [problem["kind"] for problem in record["tracks"][0]["problems"]] == ["shifted", "shifted"]
