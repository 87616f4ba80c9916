"""`evaluate` and `score` end to end through the real command line, with planted faults, a kill and a resume."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation_helpers import RATE, good_estimates, make_references, write_estimates, write_pair
from tiny_models import tiny_model, tiny_settings

from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.cli.score import score as score_command
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.evaluation.matching import find_references
from splitstrument.evaluation.problems import clipped_samples, find_shift
from splitstrument.evaluation.record import read_evaluation, values_of
from splitstrument.evaluation.run import EvaluationSettings, evaluate_model, score_files
from splitstrument.evaluation.schema import ESTIMATE

FAULTS = {
    "swapped": lambda e: e[::-1],
    "shifted": lambda e: np.roll(e, 160, axis=1),
    "wrong length": lambda e: e[:, :-500],
    "clipped": lambda e: np.clip(20 * e, -1, 1),
    "inverted": lambda e: -e,
    "silent": lambda e: e * np.array([0, 1])[:, None, None],
}
SMALL = EvaluationSettings(baselines=("mixture",), ceilings=("irm",), n_fft=256, framewise=False)


def make_folders(folder, rng, names, fault=lambda name, e: e):
    for name in names:
        references = make_references(rng, 2.0)
        write_pair(folder / "references", name, references)
        write_estimates(folder / "estimates", name, fault(name, good_estimates(references, rng)))
    return folder / "references", folder / "estimates"


def track_of(record, name):
    return next(track for track in record["tracks"] if track["track"] == name)


def kinds(record, name):
    return [problem["kind"] for problem in track_of(record, name)["problems"]]


def test_every_planted_fault_is_named_and_the_others_are_scored(tmp_path, rng):
    names = [*FAULTS, "good", "missing", "one missing", "empty", "text", "nan", "wrong rate"]
    references, estimates = make_folders(tmp_path, rng, names, lambda name, e: FAULTS.get(name, lambda x: x)(e))
    for path in (estimates / "missing").iterdir():
        path.unlink()
    (estimates / "one missing" / "rest.wav").unlink()
    (estimates / "empty" / "instrument.wav").write_bytes(b"")
    (estimates / "text" / "rest.wav").write_text("no audio")
    broken, _ = audio.read(estimates / "nan" / "instrument.wav")
    broken[5] = np.nan
    audio.write(estimates / "nan" / "instrument.wav", broken, RATE, "FLOAT")
    for path in (estimates / "wrong rate").iterdir():
        signal, _ = audio.read(path, 2 * RATE)
        audio.write(path, signal, 2 * RATE, "FLOAT")

    record = score_files(references, estimates, tmp_path / "out", SMALL)

    for name in FAULTS:
        assert name in kinds(record, name)
    assert kinds(record, "good") == []
    assert kinds(record, "missing") == ["missing", "missing"]
    assert kinds(record, "one missing") == ["missing", "computed"]
    assert kinds(record, "empty") == ["empty", "computed"]
    assert kinds(record, "text") == ["unreadable", "computed"]
    assert kinds(record, "nan") == ["unreadable"]
    assert set(kinds(record, "wrong rate")) == {"wrong rate"}
    scored = {track["track"] for track in record["tracks"] if ESTIMATE in track["scores"]}
    assert scored == set(names) - {"missing", "nan"}
    good, resampled = (
        values_of([track_of(record, n)], ESTIMATE, "instrument", "si_sdr")[0] for n in ("good", "wrong rate")
    )
    assert good > 10 and resampled > 10
    for track in record["tracks"]:  # whatever the estimate, baseline and ceiling are there
        assert {"mixture", "irm"} <= set(track["scores"])
    assert all(sentence.endswith(".") for sentence in record["problems"])
    table = (tmp_path / "out" / "evaluation.txt").read_text()
    assert all(name in table for name in names) and "samples, its reference" in table


def test_score_command_prints_json_and_fails_if_a_track_is_missing(tmp_path, rng):
    references, estimates = make_folders(tmp_path, rng, ["a", "b"])
    flags = ["-o", str(tmp_path / "out"), "--no-v4", "--no-baselines", "--json"]
    result = CliRunner().invoke(score_command, [str(references), str(estimates), *flags])
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["tracks"]) == 2
    (estimates / "a" / "instrument.wav").unlink()
    (estimates / "a" / "rest.wav").unlink()
    result = CliRunner().invoke(score_command, [str(references), str(estimates), *flags])
    assert result.exit_code == 1 and "not scored: a" in result.stderr
    assert json.loads(result.stdout)["tracks"][1]["scores"][ESTIMATE]["rest"]["sdr"] > 5


def test_the_csv_has_a_row_per_track_system_and_source(tmp_path, rng):
    references, estimates = make_folders(tmp_path, rng, ["=cmd", "b"])
    score_files(references, estimates, tmp_path / "out", SMALL)
    rows = list(csv.DictReader((tmp_path / "out" / "evaluation.csv").open()))
    assert len(rows) == 2 * 3 * 2
    assert {row["track"] for row in rows} == {"'=cmd", "b"}  # no spreadsheet takes a name for a formula
    assert all(float(row["sdr"]) for row in rows if row["system"] == ESTIMATE)


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_numbers(tmp_path, rng):
    references, estimates = make_folders(tmp_path, rng, [f"t{i}" for i in range(6)])
    command = [sys.executable, "-c", "from splitstrument.cli import main; main()", "score", str(references),
               str(estimates), "--no-v4", "--no-baselines", "--quiet", "-o"]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    process = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(killed.glob("tracks/t*.json")):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "evaluation.yaml").exists()
    before = {path.name: path.stat().st_mtime_ns for path in killed.glob("tracks/t*.json")}
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    after = {path.name: path.stat().st_mtime_ns for path in killed.glob("tracks/t*.json")}
    assert before.items() <= after.items() and len(after) == 6  # what was done was not done again
    for name in ("evaluation.csv", "evaluation.txt"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert read_evaluation(killed)["summary"] == read_evaluation(whole)["summary"]


def test_workers_give_the_same_record(tmp_path, rng):
    from splitstrument.evaluation.run import Workers

    references, estimates = make_folders(tmp_path, rng, ["a", "b", "c"])
    score_files(references, estimates, tmp_path / "one", SMALL)
    score_files(references, estimates, tmp_path / "two", SMALL, workers=Workers(2, quiet=True))
    assert (tmp_path / "one" / "evaluation.csv").read_bytes() == (tmp_path / "two" / "evaluation.csv").read_bytes()


def test_stereo_tracks_have_an_eq_and_masks_of_mid_and_side(tmp_path, rng):
    for name, n_channels in (("stereo", 2), ("other", 2), ("mono", 1)):
        references = make_references(rng, 1.0, n_channels)
        write_pair(tmp_path / "references", name, references)
        write_estimates(tmp_path / "estimates", name, good_estimates(references, rng))
    settings = EvaluationSettings(ceilings=("irm", "irm_mono", "irm_ms"), n_fft=256, framewise=False, excerpts=False)
    folders = [tmp_path / name for name in ("references", "estimates", "out", "references")]
    record = score_files(*folders[:3], settings, eq_from=folders[3])
    assert {"eq", "eq_ms", "irm_mono", "irm_ms"} <= set(track_of(record, "stereo")["scores"])
    assert set(track_of(record, "mono")["scores"]) == {ESTIMATE, "mixture", "silence", "eq", "irm"}
    assert record["summary"]["irm_ms"]["rest"]["si_sdr"]["n"] == 2
    assert record["improvement"]["eq_ms"]["rest"]["si_sdr"]["n"] == 2
    assert record["improvement"]["mixture"]["rest"]["si_sdr"]["worse"] == 0
    text = (tmp_path / "out" / "evaluation.txt").read_text()
    assert "Rest, SI-SDR over the best fixed EQ of mid and side" in text and "worse on 0 of 3" in text


def test_a_changed_estimate_is_scored_again(tmp_path, rng):
    references, estimates = make_folders(tmp_path, rng, ["a"])
    first = score_files(references, estimates, tmp_path / "out", SMALL)
    write_estimates(estimates, "a", good_estimates(make_references(rng, 2.0), rng))
    second = score_files(references, estimates, tmp_path / "out", SMALL)
    assert values_of(second["tracks"], ESTIMATE, "rest", "sdr") != values_of(first["tracks"], ESTIMATE, "rest", "sdr")


def test_a_model_whose_gate_has_changed_is_scored_again(tmp_path, rng):
    """Its weights and their hashes are the same; the record tells which gate and overlap it was measured with."""
    write_pair(tmp_path / "data" / "tracks_8000hz", "a", make_references(rng, 2.0))
    records = []
    for gate_db in (None, -0.001):
        model = tiny_model(tmp_path / "m", tiny_settings(sample_rate_hz=RATE, gate_db=gate_db, overlap=0.25)).path
        records.append(evaluate_model(str(model), tmp_path / "data", tmp_path / "out", settings=SMALL))
    first, second = (values_of(record["tracks"], ESTIMATE, "instrument", "usdr") for record in records)
    assert first != second
    used = records[1]["settings"]["separation"]
    assert (used["gate_db"], used["rest_gate_db"], used["overlap"]) == (-0.001, -120, 0.25)


def test_a_track_without_instrument_is_kept_and_said(tmp_path, rng):
    references = make_references(rng, 2.0)
    references[0] = 0
    for name, pair in (("silent", references), ("loud", make_references(rng, 2.0))):
        write_pair(tmp_path / "references", name, pair)
        write_estimates(tmp_path / "estimates", name, pair + 0.01 * pair[::-1])
    record = score_files(tmp_path / "references", tmp_path / "estimates", tmp_path / "out", SMALL)
    silent = track_of(record, "silent")["scores"][ESTIMATE]["instrument"]
    assert silent["sdr"] is None and silent["leakage_db"] == pytest.approx(-40, abs=0.1)
    assert record["summary"][ESTIMATE]["instrument"]["sdr"]["undefined"] == 1
    assert "defined for 1 of 2 tracks" in (tmp_path / "out" / "evaluation.txt").read_text()


def test_a_model_is_evaluated_like_any_tool_on_its_estimates(tmp_path, rng):
    """Separating inside `evaluate`, or before it with `separate` and then `score`, gives the same numbers."""
    from splitstrument.separation.api import separate

    references = make_references(rng, 2.0)
    write_pair(tmp_path / "references", "song", references)
    model = tiny_model(tmp_path / "model", tiny_settings(RATE))
    record = evaluate_model(str(model.path), tmp_path / "references", tmp_path / "out", SMALL)
    separation = separate(references.sum(axis=0), RATE, model)
    write_estimates(tmp_path / "estimates", "song", np.stack([separation.instrument, separation.rest]))
    scored = score_files(tmp_path / "references", tmp_path / "estimates", tmp_path / "out2", SMALL)
    for measure in ("sdr", "sir", "sar", "si_sdr", "lsd"):
        ours, theirs = (values_of(r["tracks"], ESTIMATE, "instrument", measure)[0] for r in (record, scored))
        assert ours == pytest.approx(theirs, abs=1e-3), measure
    assert record["tracks"][0]["times_real_time"] > 0
    assert not (tmp_path / "out" / "estimates").exists()


def test_a_pair_without_its_rest_is_named_and_the_others_are_scored(tmp_path, rng):
    for name in ("a", "b"):
        write_pair(tmp_path / "data", name, make_references(rng, 2.0))
    (tmp_path / "data" / "b" / "rest_b.wav").unlink()
    model = str(tiny_model(tmp_path / "m", tiny_settings(RATE)).path)
    record = evaluate_model(model, tmp_path / "data", tmp_path / "out", SMALL)
    assert [track["track"] for track in record["tracks"]] == ["a"]
    assert "has no rest_* file" in (tmp_path / "out" / "evaluation.txt").read_text()
    assert evaluate_model(model, tmp_path / "data", tmp_path / "only", SMALL, names=("a",))["tracks"]


def test_an_interrupted_evaluation_leaves_no_estimate(tmp_path, rng, monkeypatch):
    write_pair(tmp_path / "data", "a", make_references(rng, 2.0))
    model = tiny_model(tmp_path / "m", tiny_settings(RATE))

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("splitstrument.evaluation.jobs.score_systems", stopped)
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(str(model.path), tmp_path / "data", tmp_path / "out", SMALL)
    assert not list((tmp_path / "out").rglob("*.wav"))


@pytest.mark.parametrize("options", [("--gate", "5"), ("--rest-gate", "0"), ("--engine", "steam")])
def test_options_of_no_separation_are_refused_in_one_sentence(tmp_path, rng, options):
    write_pair(tmp_path / "data", "a", make_references(rng, 1.0))
    model = tiny_model(tmp_path / "m", tiny_settings(RATE))
    result = CliRunner().invoke(cli, ["evaluate", str(model.path), "--tracks", str(tmp_path / "data"), *options])
    assert isinstance(result.exception, SettingsError) and "\n" not in str(result.exception)


def test_newcomers_mistakes(tmp_path, rng):
    references, estimates = make_folders(tmp_path, rng, ["a"])
    with pytest.raises(DatasetError, match="There is no folder"):
        score_files(tmp_path / "nowhere", estimates, tmp_path / "out")
    (tmp_path / "void").mkdir()
    with pytest.raises(DatasetError, match="holds no estimates"):
        score_files(references, tmp_path / "void", tmp_path / "out")
    (estimates / "a").rename(estimates / "other")
    with pytest.raises(DatasetError, match="name the folders alike"):
        score_files(references, estimates, tmp_path / "out")
    (references / "a" / "rest_a.wav").unlink()
    with pytest.raises(DatasetError, match="stands alone"):
        find_references(references)
    with pytest.raises(DatasetError, match="run `splitstrument evaluate`"):
        read_evaluation(tmp_path / "void")


def test_find_shift_and_clipping(rng):
    noise = rng.standard_normal(4000)
    assert find_shift(noise, np.roll(noise, 37), 100) == 37
    assert find_shift(noise, np.roll(noise, -5), 100) == -5
    assert find_shift(noise, noise + rng.standard_normal(4000), 100) == 0
    signal = np.clip(3 * np.sin(np.arange(1000) / 20), -1, 1)[:, None]
    assert clipped_samples(signal) > 500
    assert clipped_samples(0.3 * signal) == 0 and clipped_samples(np.sin(np.arange(1000) / 20)[:, None]) < 60


def test_a_record_of_another_job_is_not_taken(tmp_path, rng):
    references, estimates = make_folders(tmp_path, rng, ["a"])
    score_files(references, estimates, tmp_path / "out", SMALL)
    path = tmp_path / "out" / "tracks" / "a.json"
    path.write_text("{broken")
    record = score_files(references, estimates, tmp_path / "out", SMALL)
    assert len(record["tracks"]) == 1 and json.loads(path.read_text())["track"] == "a"


def test_splits_and_tracks_seen_in_training(tmp_path, rng):
    from splitstrument.evaluation.selection import choose_tracks, seen_in_training
    from splitstrument.pairs import find_pairs

    data = tmp_path / "data"
    for index in range(10):
        write_pair(data / "tracks_8000hz", f"t{index}", make_references(rng, 0.1))
    pairs = find_pairs(data)

    def names(split, *chosen):
        return [pair.name for pair in choose_tracks(pairs, data, split, chosen)]

    assert len(names(None)) == len(names("all")) == 10
    assert names("validation") == [pair.name for pair in pairs[:2]]  # the first 20 % by MD5
    with pytest.raises(DatasetError, match=r"has no evaluation\.yaml"):
        names("evaluation")
    (data / "evaluation.yaml").write_text("[t3, t7]")
    assert set(names(None)) == set(names("evaluation")) == {"t3", "t7"}
    assert names("evaluation", "t1") == ["t1"]
    with pytest.raises(DatasetError, match="has no track 'x'"):
        names(None, "x")
    (tmp_path / "provenance.json").write_text(json.dumps({"tracks": {"training": ["set/t3", "set/t4"]}}))
    assert seen_in_training(tmp_path, choose_tracks(pairs, data, None)) == ["t3"]
    assert seen_in_training(data, pairs) == []
