"""Tracks in stems: one table for each instrument, by the same numbers as the pair of that instrument and all others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation_helpers import write_pair
from tiny_models import band_kernel, band_settings, music, tiny_model

import splitstrument
from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.evaluation.metrics.score import score_pair
from splitstrument.evaluation.report.data import load_evaluations
from splitstrument.evaluation.report.write import write_report
from splitstrument.evaluation.run import EvaluationSettings, evaluate_model, evaluate_model_stems, score_stems
from splitstrument.evaluation.stems import find_stem_tracks, fitting_pairs, scorable_stems, stem_pairs
from splitstrument.stem_set import SetTrack, write_files, write_listing

RATE = 22050
SMALL = EvaluationSettings(baselines=("mixture", "eq"), ceilings=("irm",), framewise=False)
STEMS = ("guitar", "piano", "drums", "other")


@pytest.fixture(scope="module")
def songs():
    """Track -> stem -> samples; one track has no piano."""
    rng = np.random.default_rng(3)
    tracks = {name: {stem: 0.3 * music(rng, 30000) for stem in STEMS} for name in ("one", "two", "three")}
    del tracks["three"]["piano"]
    return tracks


@pytest.fixture(scope="module")
def folder(songs, tmp_path_factory):
    place = tmp_path_factory.mktemp("stems")
    for name, stems in songs.items():
        for stem, samples in stems.items():
            audio.write(place / "data" / name / f"{stem}.wav", samples, RATE, "FLOAT")
        audio.write(place / "data" / name / "mixture.wav", sum(stems.values()), RATE, "FLOAT")
    return place


@pytest.fixture(scope="module")
def band(folder):
    """A model of guitar, piano and bass, of which the tracks have two."""
    settings = band_settings()
    return tiny_model(folder / "band", settings, band_kernel(settings))


@pytest.fixture(scope="module")
def records(folder, band):
    return evaluate_model_stems(str(band.path), folder / "data", folder / "out", SMALL, folder / "data")


def test_every_instrument_that_both_sides_have_is_scored_against_all_others(records, folder, songs, band):
    assert list(records) == ["guitar", "piano"]
    assert [[track["track"] for track in record["tracks"]] for record in records.values()] == [
        ["one", "three", "two"],
        ["one", "two"],
    ]
    mixture = sum(songs["two"].values())
    made = splitstrument.separate(mixture, RATE, band.path)
    for stem, record in records.items():
        own = songs["two"][stem]
        expected = score_pair(
            np.stack([own, mixture - own]), np.stack([made.stems[stem], mixture - made.stems[stem]]), RATE, False
        )
        scores = next(track for track in record["tracks"] if track["track"] == "two")["scores"]
        for source in ("instrument", "rest"):
            for key in ("sdr", "sir", "si_sdr", "bleedless"):
                assert scores["estimate"][source][key] == pytest.approx(expected[source][key], abs=2e-3), (stem, key)
        assert set(scores) == {"mixture", "eq", "irm", "estimate"}
        assert record["stem"] == record["target"] == stem and "eq_ms" not in scores


def test_a_track_is_separated_once_for_all_its_stems(records, folder):
    times = [
        {track["track"]: track["separation_s"] for track in record["tracks"] if track["track"] != "three"}
        for record in records.values()
    ]
    assert times[0] == times[1]
    assert not (folder / "out" / "guitar" / "estimates").exists()


def test_what_is_there_is_kept_and_what_is_missing_made_again(records, folder, band):
    before = {stem: (folder / "out" / stem / "evaluation.csv").read_bytes() for stem in records}
    kept = folder / "out" / "guitar" / "tracks" / "one.json"
    written, lost = kept.stat().st_mtime_ns, folder / "out" / "piano" / "tracks" / "one.json"
    lost.unlink()
    evaluate_model_stems(str(band.path), folder / "data", folder / "out", SMALL, folder / "data")
    assert kept.stat().st_mtime_ns == written and lost.is_file()
    assert {stem: (folder / "out" / stem / "evaluation.csv").read_bytes() for stem in records} == before


def test_the_report_has_a_table_for_each_instrument(records, folder):
    evaluations = load_evaluations([folder / "out"])
    assert [evaluation.data for evaluation in evaluations] == ["data (guitar)", "data (piano)"]
    text = (write_report([folder / "out"], folder / "report", "Stems", 1)[1]).read_text()
    for stem in ("guitar", "piano"):
        assert f"tiny on data ({stem}): the instrument" in text and f"tiny on data ({stem}): the rest" in text
    assert "−" not in "".join(line for line in text.splitlines() if "tiny − tiny" in line)  # two stems are no rivals


def test_one_instrument_of_several_on_pairs(folder, songs, band, tmp_path):
    mixture, own = sum(songs["one"].values()), songs["one"]["piano"]
    write_pair(tmp_path / "pairs", "one", np.stack([own, mixture - own]), RATE)
    record = evaluate_model(str(band.path), tmp_path / "pairs", tmp_path / "out", SMALL, stem="piano")
    of_stems = json.loads((folder / "out" / "piano" / "tracks" / "one.json").read_text())
    ours, theirs = (r["scores"]["estimate"]["instrument"] for r in (record["tracks"][0], of_stems))
    assert record["target"] == "piano" and ours["si_sdr"] == pytest.approx(theirs["si_sdr"], abs=1e-3)
    with pytest.raises(SettingsError, match="no stem 'drums': this model gives guitar, piano, bass and rest"):
        evaluate_model(str(band.path), tmp_path / "pairs", tmp_path / "other", SMALL, stem="drums")


def test_estimates_of_any_tool_in_stems(folder, songs, tmp_path, rng):
    for name, stems in songs.items():
        for stem in ("guitar", "piano", "vocals"):
            if stem in stems:
                noisy = stems[stem] + 0.02 * rng.standard_normal(stems[stem].shape)
                audio.write(tmp_path / "made" / name / f"{stem}.wav", noisy.astype(np.float32), RATE, "FLOAT")
    arguments = [
        "score",
        folder / "data",
        tmp_path / "made",
        "-o",
        tmp_path / "out",
        "--no-v4",
        "--json",
        "--name",
        "x",
    ]
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    guitar, piano = json.loads(result.stdout)
    assert (guitar["stem"], piano["stem"]) == ("guitar", "piano") and len(guitar["tracks"]) == 3
    assert all(track["problems"] == [] for track in guitar["tracks"])
    own, mixture = songs["two"]["guitar"], sum(songs["two"].values())
    made, _ = audio.read(tmp_path / "made" / "two" / "guitar.wav")
    expected = score_pair(np.stack([own, mixture - own]), np.stack([made, mixture - made]), RATE, False)
    scores = next(track for track in guitar["tracks"] if track["track"] == "two")["scores"]["estimate"]
    assert scores["rest"]["si_sdr"] == pytest.approx(expected["rest"]["si_sdr"], abs=1e-3)
    with pytest.raises(DatasetError, match="has no stem of"):
        audio.write(tmp_path / "strange" / "one" / "flute.wav", own, RATE, "FLOAT")
        audio.write(tmp_path / "strange" / "one" / "oboe.wav", own, RATE, "FLOAT")
        score_stems(folder / "data", tmp_path / "strange", tmp_path / "none", SMALL)


def test_a_stem_set_says_which_stems_are_known(tmp_path, songs):
    tracks = [SetTrack("one", ("guitar", "piano"), STEMS, "one", "test"), SetTrack("two", ("guitar",), STEMS, "two")]
    for track in tracks:
        sounds = {stem: np.clip(samples, -1, 1) for stem, samples in songs[track.name].items()}
        write_files(tmp_path, track.name, sounds, RATE)
    write_listing(tmp_path, RATE, tracks)
    found = find_stem_tracks(tmp_path)
    assert scorable_stems(found, ("bass", "piano", "guitar")) == ["piano", "guitar"]
    assert [pair.name for pair in stem_pairs(found, "piano")] == ["one"]
    pair = stem_pairs(found, "piano")[0]
    assert len(pair.rests) == 3 and pair.instrument.name == "piano_one.flac"


def test_pairs_are_no_stems(tmp_path, songs):
    own, mixture = songs["one"]["guitar"], sum(songs["one"].values())
    write_pair(tmp_path, "one", np.stack([own, mixture - own]), RATE)
    for name in "ab":  # what else lies beside pairs
        audio.write(tmp_path / "previews" / f"{name}.wav", own, RATE, "FLOAT")
    assert find_stem_tracks(tmp_path) == [] and find_stem_tracks(tmp_path / "none") == []


def test_a_folder_that_no_eq_can_be_fitted_on_is_refused(folder, songs, band, tmp_path, caplog):
    own, mixture = songs["one"]["guitar"], sum(songs["one"].values())
    write_pair(tmp_path / "pairs", "one", np.stack([own, mixture - own]), RATE)
    data, out = folder / "data", tmp_path / "out"
    for wrong in (tmp_path / "none", tmp_path / "pairs"):
        with pytest.raises(DatasetError, match=f"{wrong.name} has no track with guitar or piano .* --eq-from"):
            evaluate_model_stems(str(band.path), data, out, SMALL, wrong)
        with pytest.raises(DatasetError, match=f"{wrong.name} has no track with .* --eq-from"):
            score_stems(data, data, out, SMALL, wrong)
    assert not out.exists()
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "three").symlink_to(data / "three")  # which has no piano
    assert [pair.name for pair in fitting_pairs(tmp_path / "some", ("guitar", "piano"))["guitar"]] == ["three"]
    assert caplog.messages == [f"{tmp_path / 'some'} has no piano: no fixed EQ stands beside it."]


def test_a_stem_without_any_track_keeps_no_other_from_its_results(songs, band, tmp_path):
    for name, stems in (("one", ("guitar", "piano", "drums")), ("two", ("piano", "drums"))):
        for stem in stems:
            samples = songs[name][stem][: -100 if (name, stem) == ("one", "drums") else None]
            audio.write(tmp_path / "data" / name / f"{stem}.wav", samples, RATE, "FLOAT")
    with pytest.raises(DatasetError, match="No track could be evaluated for guitar: .*drums 29900"):
        evaluate_model_stems(str(band.path), tmp_path / "data", tmp_path / "out", SMALL)
    (evaluation,) = load_evaluations([tmp_path / "out"])
    assert evaluation.instrument == "piano" and [track["track"] for track in evaluation.record["tracks"]] == ["two"]
    assert list(evaluation.record["failed"]) == ["one"]


def test_a_resumed_stem_is_separated_from_the_same_mixture(folder, band, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one").symlink_to(folder / "data" / "one")
    settings = SMALL.model_copy(update={"keep_estimates": True, "baselines": (), "ceilings": ()})

    def made():
        evaluate_model_stems(str(band.path), tmp_path / "data", tmp_path / "out", settings)
        return (tmp_path / "out" / "piano" / "estimates" / "one" / "instrument.wav").read_bytes()

    before = made()
    (tmp_path / "out" / "piano" / "tracks" / "one.json").unlink()
    assert made() == before
