"""The automatic checks: every defect is found where it is, good stems and human marks are left alone."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from splitstrument import audio
from splitstrument.cli.dataset_quality import check
from splitstrument.curation.checks import clipping, defects, duplicates, findings, fingerprints, sums, tracks
from splitstrument.curation.checks.levels import LevelMeter
from splitstrument.curation.checks.run import check_dataset, check_track, duplicate_findings
from splitstrument.curation.checks.settings import CheckSettings
from splitstrument.curation.statistics import measure_file
from splitstrument.datasets.marks import read_marks, set_mark
from splitstrument.errors import DatasetError
from splitstrument.executor import InlineExecutor

RATE = 22050
# what docs/quality.md reports as hardly ever found
HARD = {name for name in defects.DEFECTS if ("Ogg" in name and "hard" in name) or "soft" in name}


def plucks(rng, seconds, notes, decay_s, level):
    """Decaying harmonic tones at random times, stereo; silent between them now and then."""
    out = np.zeros(round(seconds * RATE))
    for start in np.arange(0.2, seconds - 1, 0.5):
        if rng.random() < 0.35:
            continue
        t = np.arange(round(0.9 * RATE)) / RATE
        pitch = rng.choice(notes) * 2 ** (rng.normal() / 600)
        tone = sum(np.sin(2 * np.pi * k * pitch * t + rng.uniform(0, 6)) / k**1.5 for k in range(1, 9))
        first = round((start + rng.uniform(0, 0.05)) * RATE)
        out[first : first + len(t)] += tone * np.exp(-t / decay_s)
    return (level * np.stack([out, 0.8 * out], 1)).astype(np.float32)


def hits(rng, seconds, level):
    """Noise bursts."""
    out = np.zeros((round(seconds * RATE), 2))
    for start in np.arange(0.1, seconds - 0.5, 0.25):
        n = round(0.12 * RATE)
        burst = rng.standard_normal((n, 2)) * np.exp(-np.arange(n) / (0.02 * RATE))[:, None]
        first = round(start * RATE)
        out[first : first + n] += burst
    return (level * out).astype(np.float32)


@pytest.fixture
def band(rng):
    """Twenty seconds of guitar, bass and drums with their mix."""
    guitar = plucks(rng, 20, [196, 247, 294, 392], 0.15, 0.2)
    stems = {
        "guitar/guitar.wav": guitar,
        "bass/bass.wav": plucks(rng, 20, [41, 55, 62], 0.3, 0.2),
        "drums/drums.wav": hits(rng, 20, 0.1),
    }
    return {**stems, "mix/mix.wav": sum(stems.values())}


def checked(folder, track, target="guitar"):
    defects.write_track(folder, track, RATE)
    result = check_track(folder, target)
    found = duplicate_findings(folder.parent, {result.name: result}, CheckSettings())
    return [*result.findings, *(finding for _, finding in found)]


def test_good_stems_raise_no_alarm(tmp_path, band):
    assert checked(tmp_path / "song", band, target=None) == []


@pytest.mark.parametrize("name", [name for name in defects.DEFECTS if name not in HARD])
def test_each_defect_is_found_by_its_check(tmp_path, band, rng, name):
    expected, spoil = defects.DEFECTS[name]
    spoil(defects.Patient(band, "guitar/guitar.wav", "drums/drums.wav", RATE, rng))
    found = [finding for finding in checked(tmp_path / "song", band) if finding.check == expected]
    assert {finding.stem_class for finding in found} & {"guitar", "mix"}
    assert all(0 < finding.severity <= 1 for finding in found)


def test_real_recordings_raise_no_alarm_and_their_bleed_is_found(tmp_path, rng):
    sample = Path(__file__).parents[2] / "datasets" / "sample" / "real"
    pairs = sorted(sample.rglob("instrument_*"))
    assert pairs, f"the shipped sample set is missing below {sample}"
    found_bleed = 0
    for path in pairs:
        guitar, rate = audio.read(path)
        rest, _ = audio.read(next(path.parent.glob("rest_*")))
        track = {"guitar/guitar.wav": guitar, "other/rest.wav": rest}
        defects.write_track(tmp_path / path.parent.name, track, rate)
        assert [f.check for f in check_track(tmp_path / path.parent.name).findings if f.check != "clipping"] == []
        defects.bleed(-20)(defects.Patient(track, "guitar/guitar.wav", "other/rest.wav", rate, rng))
        defects.write_track(tmp_path / f"{path.parent.name} spoiled", track, rate)
        found_bleed += "bleed" in {f.check for f in check_track(tmp_path / f"{path.parent.name} spoiled").findings}
    assert found_bleed >= len(pairs) / 2


def test_clipping_names_the_seconds(tmp_path, band):
    guitar = band["guitar/guitar.wav"]
    guitar[8 * RATE : 12 * RATE] = np.clip(3 * guitar[8 * RATE : 12 * RATE], -0.3, 0.3)
    (finding,) = [f for f in checked(tmp_path / "song", band) if f.check == "clipping"]
    start, end = finding.seconds[0]
    assert 8 <= start < end <= 12


def test_bleed_names_the_source(tmp_path, band, rng):
    defects.bleed(-25)(defects.Patient(band, "guitar/guitar.wav", "drums/drums.wav", RATE, rng))
    (finding,) = [f for f in checked(tmp_path / "song", band, None) if f.check == "bleed"]
    assert finding.stem_class == "guitar" and "hears drums" in finding.message
    assert finding.mark == "bleed"


def test_missing_target_and_broken_file_are_told_and_the_rest_is_checked(tmp_path, band):
    del band["guitar/guitar.wav"]
    band["bass/bass.wav"] *= 0
    folder = tmp_path / "song"
    defects.write_track(folder, band, RATE)
    (folder / "drums" / "broken.wav").write_text("not audio")
    (folder / "vocals").mkdir(exist_ok=True)
    (folder / "vocals" / "voice.ra").write_bytes(b"x")
    findings = check_track(folder, "guitar").findings
    found = {(f.check, f.stem_class) for f in findings}
    assert {("missing", "guitar"), ("missing", "drums"), ("missing", "vocals"), ("inaudible", "bass")} <= found
    assert any("voice.ra is in a format that is not read" in str(f) for f in findings)


def test_duplicates_across_tracks_have_exact_shift_polarity_and_gain(tmp_path, band):
    first, second = tmp_path / "one", tmp_path / "two"
    guitar = band["guitar/guitar.wav"]
    shift = round(0.3712 * RATE)
    copy = np.concatenate([np.zeros((shift, 2), np.float32), -0.5 * guitar])
    defects.write_track(first, {"guitar/a.wav": guitar}, RATE)
    defects.write_track(second, {"guitar/b.wav": copy}, RATE)
    stems = {str(path.relative_to(tmp_path)): path for path in (first / "guitar/a.wav", second / "guitar/b.wav")}
    prints = {name: fingerprints.fingerprint(audio.blocks(path, RATE), RATE) for name, path in stems.items()}
    (found,) = duplicates.find_duplicates(prints, stems, CheckSettings())
    assert found.shift_s == pytest.approx(0.3712, abs=0.001)
    assert found.correlation < -0.99 and found.gain_db == pytest.approx(-6, abs=0.1)
    assert "0.371 s later" in found.message(found.second) and "inverted" in found.message(found.second)


def test_human_marks_survive_and_the_command_ranks(tmp_path, band):
    defects.write_track(tmp_path / "good", band, RATE)
    defects.write_track(tmp_path / "bad", {**band, "guitar/guitar.wav": 0 * band["guitar/guitar.wav"]}, RATE)
    set_mark(tmp_path / "bad", "guitar", "checked")
    result = CliRunner().invoke(check, [str(tmp_path), "--target", "guitar", "--json", "--quiet"])
    assert result.exit_code == 0
    assert next(iter(json.loads(result.stdout)["tracks"]["bad"]["findings"]))["check"] == "inaudible"
    assert read_marks(tmp_path / "bad", "guitar") == {"checked"} and not read_marks(tmp_path / "good", "guitar")
    assert {name for name, track in findings.read_checks(tmp_path).tracks.items() if track.suspicion("guitar")} == {
        "bad"
    }
    table = CliRunner().invoke(check, [str(tmp_path), "--target", "piano", "--quiet"]).stdout
    assert "2 tracks have no stem of a class" in table and "same audio as" in table


def test_a_second_run_reads_only_what_changed(tmp_path, band, monkeypatch):
    for name in ("one", "two"):
        defects.write_track(tmp_path / name, band, RATE)
    before = check_dataset(tmp_path, InlineExecutor(), quiet=True)
    defects.write_track(tmp_path / "two", {"guitar/guitar.wav": 0 * band["guitar/guitar.wav"]}, RATE)
    read = []
    monkeypatch.setattr(
        "splitstrument.curation.checks.run.check_track",
        lambda folder, *rest: read.append(folder.name) or check_track(folder, *rest),
    )
    after = check_dataset(tmp_path, InlineExecutor(), quiet=True)
    assert read == ["two"]
    assert "duplicate" in {f.check for f in before.checks.tracks["one"].findings}
    assert "inaudible" in {f.check for f in after.checks.tracks["two"].findings}
    (tmp_path / ".checks" / "one.npz").write_bytes(b"damaged")
    assert check_dataset(tmp_path, InlineExecutor(), quiet=True).checks == after.checks


def test_memory_does_not_grow_with_the_song(tmp_path, rng):
    peaks = []
    for seconds in (20, 120):
        stems = {"guitar/g.wav": hits(rng, seconds, 0.1), "drums/d.wav": hits(rng, seconds, 0.1)}
        defects.write_track(tmp_path / str(seconds), stems, RATE)
        tracemalloc.start()
        check_track(tmp_path / str(seconds))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0]


def test_no_tracks_is_one_sentence(tmp_path):
    with pytest.raises(DatasetError, match="organised track"):
        check_dataset(tmp_path, InlineExecutor(), quiet=True)


def test_clipped_share_is_a_quarter_for_a_sine_and_one_for_a_square():
    sine = np.sin(2 * np.pi * 97.3 * np.arange(RATE) / RATE)
    assert clipping.clipped_share(sine, 1 / 2048, 8) == pytest.approx(0.25, abs=0.02)
    assert clipping.clipped_share(np.sign(sine), 1 / 2048, 8) == 1


def test_level_meter_agrees_with_a_direct_computation(rng):
    samples = (rng.standard_normal((5 * RATE, 2)) * np.repeat([1e-4, 0.1, 0.2, 1e-5, 0.05], RATE)[:, None]).astype("f4")
    meter = LevelMeter(RATE)
    for start in range(0, len(samples), RATE):
        meter.update(samples[start : start + RATE])
    assert meter.audible_s == pytest.approx(3, abs=0.06)
    assert meter.loudest_dbfs == pytest.approx(20 * np.log10(0.2), abs=0.1) and meter.loud_s == 2
    assert meter.peak == np.abs(samples).max()
    assert meter.dc == pytest.approx(np.abs(samples.mean(0)).max(), rel=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e30, 3e38])
def test_float_files_of_any_values_are_measured_without_warnings(tmp_path, rng, value):
    for name in ("guitar", "drums", "mix"):
        signs = np.sign(rng.standard_normal((6 * RATE, 2)))
        audio.write(tmp_path / "Song" / name / f"{name}.wav", (value * signs).astype(np.float32), RATE, "FLOAT")
    assert {"clipping", "dc"} <= {finding.check for finding in check_track(tmp_path / "Song").findings}
    measured = measure_file(("Song", "guitar", tmp_path / "Song" / "guitar" / "guitar.wav"))
    assert measured.peak == pytest.approx(value) and measured.active_dbfs == 0


def test_sum_gains_are_the_least_squares_solution(tmp_path, rng):
    folder = tmp_path / "song"
    parts = [rng.standard_normal((RATE, 1)).astype("f4") * 0.1 for _ in range(3)]
    mix = 0.5 * parts[0] - parts[1]
    defects.write_track(folder, {"a/a.wav": parts[0], "b/b.wav": parts[1], "c/c.wav": parts[2], "mix/m.wav": mix}, RATE)
    track = tracks.read_track(folder)
    meter = sums.SumMeter(track.parts, track.of_class("mix"))
    for second in tracks.aligned_seconds(track.stems, RATE):
        meter.update(second)
    np.testing.assert_allclose(meter.gains(), [0.5, -1, 0], atol=1e-3)
    (finding,) = meter.findings()
    assert "not in the mix: c/c.wav" in finding.message and "inverted: b/b.wav" in finding.message


@given(size=st.integers(1, 40), rows=st.integers(40, 60))
@settings(max_examples=30, deadline=None)
def test_running_max_agrees_with_the_slow_one(size, rows):
    values = np.random.default_rng(size * rows).standard_normal((rows, 3))
    slow = np.stack([values[i : i + size].max(0) for i in range(rows - size + 1)])
    np.testing.assert_array_equal(fingerprints.running_max(values, size), slow)


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_rebuffered_keeps_every_sample(sizes, size):
    blocks = [np.full((n, 1), i, np.float32) for i, n in enumerate(sizes)]
    out = list(tracks.rebuffered(blocks, size))
    assert all(len(block) == size for block in out[:-1])
    np.testing.assert_array_equal(np.concatenate([*out, np.zeros((0, 1))]), np.concatenate([*blocks, np.zeros((0, 1))]))


@given(st.dictionaries(st.integers(0, 100), st.floats(0.1, 1), max_size=20))
def test_spans_cover_the_suspicious_seconds_worst_first(weights):
    found = findings.spans(weights.items())
    covered = [index for start, end in found for index in range(int(start), int(end))]
    assert len(covered) == len(set(covered)) and set(covered) <= set(weights)
    if len(found) < findings.MAX_SPANS:
        assert set(covered) == set(weights)
    if weights:
        assert found[0][0] <= max(weights, key=weights.get) < found[0][1] or max(weights.values()) == max(
            weights[index] for index in range(int(found[0][0]), int(found[0][1]))
        )
