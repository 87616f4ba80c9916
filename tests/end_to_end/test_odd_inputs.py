"""Every odd input of `odd_inputs` through every surface that takes audio: exact, warned or refused in one sentence.

The table in docs/odd-inputs.md is `odd_inputs.INPUTS`; one test compares them.
"""

from __future__ import annotations

import io
import json
import re
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from odd_inputs import EXACT, INPUTS, REFUSED, WARNED, Odd, sound
from tiny_models import tiny_model

import splitstrument
from demonstrator import sniff
from demonstrator.work import Task, run_task
from splitstrument.audio import probe, read
from splitstrument.cli import cli
from splitstrument.curation.checks.run import check_track
from splitstrument.datasets.mix import MixSettings, mix_track
from splitstrument.errors import AudioFileError, SplitstrumentError
from splitstrument.evaluation.problems import file_problems
from splitstrument.evaluation.run import EvaluationSettings, Workers, score_files
from splitstrument.evaluation.tracks import estimates_in_files, pair_blocks
from splitstrument.pairs import find_pairs
from splitstrument.separation.pipeline import load_model
from splitstrument.separation.songs import separate_file

LIMIT_S = 60
DOCS = Path(__file__).parents[2] / "docs" / "odd-inputs.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("model") / "tiny"), threads=1)


@contextmanager
def limited(surface):
    """Turn a hang into a failure."""

    def hang(*_):
        raise TimeoutError(f"{surface}: no answer after {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(odd, surface, work, refusal_names=""):
    """Run `work`, which returns the length in samples and the warnings, or raises; hold it against the table."""
    try:
        with limited(surface):
            n_samples, warnings = work()
    except SplitstrumentError as error:
        text = str(error)
        assert odd.outcome == REFUSED and "\n" not in text and refusal_names in text, f"{surface}: {text}"
        return text
    assert odd.outcome != REFUSED, f"{surface} took it"
    assert abs(n_samples - odd.n_samples) <= odd.tolerance, f"{surface}: {n_samples} samples"
    return " ".join(warnings)


def separated(odd, song, folder, model):
    done = separate_file(song, folder, model)
    song_read, rate = read(song)
    assert rate == odd.rate == done.sample_rate_hz and len(song_read) == done.n_samples
    both = sum(soundfile.read(path, dtype="float64", always_2d=True)[0] for path in (done.instrument, done.rest))
    assert np.abs(both - song_read).max() < 1e-6  # nothing is lost
    return done.n_samples, [warning for warning in done.warnings if odd.says and odd.says in warning]


def through_api(song, model):
    audio, rate = read(song)
    if not len(audio):
        raise AudioFileError(f"{song} holds no samples.")
    separation = splitstrument.separate(audio, rate, model)
    return len(separation.instrument), []


def through_stdin(song, folder, model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(song.read_bytes()), isatty=lambda: False))
    status = cli.main(
        ["separate", "-", "-o", str(folder), "-m", str(model.folder.path), "--json", "--quiet", "--threads", "1"],
        standalone_mode=False,
    )
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert status == (1 if answer["errors"] else 0)
    for error in answer["errors"].values():
        assert error in printed.err
        raise SplitstrumentError(error)
    (done,) = answer["songs"]
    return done["n_samples"], done["warnings"]


def through_upload(song, folder, model):
    suffix = sniff.suffix_of(song)
    if suffix is None or not song.stat().st_size:
        raise AudioFileError("No audio that is read here.")
    folder.mkdir()
    upload = folder / f"song{suffix}"
    upload.write_bytes(song.read_bytes())
    task = Task("separate", str(folder), str(model.folder.path), upload.name, threads=1)
    result = run_task(task, lambda share, what: None)
    return round(result["duration_s"] * result["sample_rate_hz"]), result["warnings"]


def track_with(folder, song, stem_class="guitar"):
    """An organised track, the odd input among its stems."""
    (folder / stem_class).mkdir(parents=True)
    (folder / "drums").mkdir()
    (folder / stem_class / song.name).write_bytes(song.read_bytes())
    soundfile.write(folder / "drums" / "drums.wav", sound(1000), 44100)
    return folder


def through_mix(odd, song, folder):
    settings = MixSettings(target="guitar", sample_rates_hz=(odd.rate,), require_checked=False)
    report = mix_track(track_with(folder / "in" / "track", song), folder / "out", settings)
    assert not report.skipped
    return round(report.duration_s * odd.rate), []


def through_check(song, folder):
    """Length that the check has seen; a file that cannot be taken is a finding of its own."""
    track = track_with(folder / "track", song)
    for finding in check_track(track).findings:
        if finding.check == "missing" and f"guitar/{song.name}" in finding.files:
            raise AudioFileError(finding.message)
    return probe(track / "guitar" / song.name).n_samples, []


def pair_for_score(odd, song, folder):
    """References, and the input as an estimate of their instrument."""
    for name in ("references", "estimates"):
        (folder / name / "track").mkdir(parents=True)
    noise = np.random.default_rng(2).standard_normal((odd.n_samples, 2)).astype(np.float32) / 9
    for stem, samples in (("instrument", sound(odd.n_samples)), ("rest", noise)):
        soundfile.write(folder / "references" / "track" / f"{stem}_track.wav", samples, odd.rate)
    estimate = folder / "estimates" / "track" / f"instrument{song.suffix}"
    estimate.write_bytes(song.read_bytes())
    return find_pairs(folder / "references")[0], estimate


def through_score(odd, song, folder):
    """What `score` reads of an estimate, and what it says of it; the metrics themselves cost seconds a song."""
    pair, estimate = pair_for_score(odd, song, folder)
    usable, problems = file_problems(estimate, "instrument", pair)
    if not usable:
        raise AudioFileError(problems[0].sentence)
    n_samples = sum(
        estimates.shape[1] for _, estimates in estimates_in_files(pair, estimate, None).beside(pair_blocks(pair))
    )
    assert n_samples == odd.n_samples  # the reference's
    lengths = [problem.sentence for problem in problems if problem.kind == "wrong length"]
    return int(re.search(r"has (\d+) samples", lengths[0])[1]) if lengths else n_samples, []


@pytest.mark.parametrize("name", ["wav-half", "html-as-mp3"])
def test_a_whole_score(name, tmp_path):
    odd = INPUTS[name]
    pair_for_score(odd, written(odd, tmp_path), tmp_path)
    settings = EvaluationSettings(framewise=False, baselines=(), ceilings=())
    folders = [tmp_path / name for name in ("references", "estimates", "out")]
    (track,) = score_files(*folders, settings, workers=Workers(quiet=True))["tracks"]
    unreadable = [problem["sentence"] for problem in track["problems"] if problem["kind"] == "unreadable"]
    if odd.outcome == REFUSED:
        assert odd.says in unreadable[0] and not track["scores"]
    else:
        assert not unreadable and track["scores"]["estimate"]


@pytest.mark.parametrize("name", INPUTS)
def test_separate_and_the_interfaces_around_it(name, tmp_path, model, monkeypatch, capsys):
    odd = INPUTS[name]
    song = written(odd, tmp_path)
    said = outcome(odd, "separate", lambda: separated(odd, song, tmp_path / "out", model), song.name)
    assert odd.says in said
    assert (tmp_path / "out").exists() == (odd.outcome != REFUSED)
    outcome(odd, "API", lambda: through_api(song, model))
    stdin = outcome(odd, "stdin", lambda: through_stdin(song, tmp_path / "stdin", model, monkeypatch, capsys))
    upload = outcome(odd, "upload", lambda: through_upload(song, tmp_path / "upload", model))
    if odd.outcome == WARNED:
        assert odd.says in stdin and odd.says in upload
    if odd.outcome == EXACT:
        assert "file" not in stdin + upload


# a stem without samples is silence where stems are padded (`MixSettings.length`)
@pytest.mark.parametrize("name", [name for name in INPUTS if name != "wav-empty"])
def test_the_tools_for_datasets(name, tmp_path):
    odd = INPUTS[name]
    song = written(odd, tmp_path)
    outcome(odd, "mix", lambda: through_mix(odd, song, tmp_path / "mix"), "track")
    assert len(list((tmp_path / "mix" / "out").rglob("*_track.*"))) == (0 if odd.outcome == REFUSED else 2)
    outcome(odd, "check", lambda: through_check(song, tmp_path / "check"), song.name)
    outcome(odd, "score", lambda: through_score(odd, song, tmp_path / "score"), "instrument")


def test_the_table_in_the_documentation_is_this_one():
    assert len(INPUTS) >= 60
    rows = [f"| {odd.what} | {odd.outcome} |" for odd in INPUTS.values()]
    assert [line for line in DOCS.read_text().splitlines() if line.startswith("| ")][1:] == rows


def written(odd: Odd, folder: Path) -> Path:
    if odd.needs_media:
        pytest.importorskip("av", reason="needs PyAV: pip install 'splitstrument[media]'")
    song = folder / odd.file
    song.write_bytes(odd.make())
    return song
