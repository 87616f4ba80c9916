"""The listening queue, what is shown and played, and the keyboard tool through a real terminal."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from splitstrument import audio
from splitstrument.curation.checks.findings import ChecksFile, Finding, TrackChecks, write_checks
from splitstrument.curation.listening import (
    excerpt,
    listening_queue,
    overview,
    split_spans,
    suspicious_spans,
    wav_bytes,
)
from splitstrument.datasets.marks import read_marks, set_mark
from splitstrument.errors import DatasetError, MissingExtraError, SettingsError

RATE = 8000


@pytest.fixture
def dataset(tmp_path, rng):
    """Three songs of 40 s; the guitar sounds from 5 to 35 s."""
    for name in ("alpha", "beta", "gamma"):
        guitar = 0.1 * rng.standard_normal((40 * RATE, 1)).astype(np.float32)
        guitar[: 5 * RATE] = guitar[35 * RATE :] = 0
        audio.write(tmp_path / name / "guitar" / "one.wav", guitar, RATE)
        audio.write(tmp_path / name / "guitar" / "two.wav", 0.5 * guitar, RATE)
        audio.write(tmp_path / name / "drums" / "d.wav", 0.2 * guitar, RATE)
    finding = Finding(check="bleed", stem_class="guitar", severity=0.8, message="hears drums", seconds=((20.0, 22.0),))
    write_checks(tmp_path, ChecksFile(tracks={"beta": TrackChecks(findings=(finding,))}))
    return tmp_path


def test_the_suspicious_come_first(dataset):
    assert [item.track for item in listening_queue(dataset, "guitar")] == ["beta", "alpha", "gamma"]
    assert len(listening_queue(dataset)) == 6
    with pytest.raises(DatasetError, match="'kazoo'"):
        listening_queue(dataset, "kazoo")


def test_overview_trims_silent_ends_and_marks_where_to_listen(dataset):
    seen = overview(listening_queue(dataset, "guitar")[0])
    assert seen.audible == pytest.approx((5, 35), abs=0.02)
    assert len(seen.splits) == 5 and all(5 <= start < end <= 35 for start, end in seen.splits)
    assert seen.suspicious == ((20.0, 22.0),)
    column = 40 / len(seen.peaks)
    loud = np.flatnonzero(seen.peaks > 0.05) * column
    assert loud[0] == pytest.approx(5, abs=2 * column) and loud[-1] == pytest.approx(35, abs=2 * column)
    assert seen.spectrum.shape == (len(seen.peaks), 96) and seen.spectrum[: int(4 / column)].max() == 0


def test_spectrum_shows_a_tone_at_its_place(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(5 * RATE) / RATE).astype(np.float32)[:, None]
    audio.write(tmp_path / "song" / "guitar" / "g.wav", tone, RATE)
    seen = overview(listening_queue(tmp_path, "guitar")[0])
    band = int(np.argmax(seen.spectrum.mean(0)))
    assert 40 * (16000 / 40) ** (band / 96) == pytest.approx(1000, rel=0.1)


def test_each_split_is_the_loudest_of_its_part():
    level = np.full(100, -40.0)
    level[[13, 14, 15, 16]] = -10
    first, *rest = split_spans((0, 100), level)
    assert first == (13, 17) and len(rest) == 4
    assert split_spans((0, 0), level) == ()
    assert split_spans((2, 4), level)[0][0] == 2


def test_suspicious_spans_are_inside_and_apart():
    spans = ((1.0, 2.0), (1.5, 3.0), (38.0, 60.0))
    finding = Finding(check="dc", stem_class="guitar", severity=0.5, message="", seconds=spans)
    found = suspicious_spans([finding], 40)
    assert found == ((1.0, 3.0), (38.0, 40))


def test_excerpt_is_the_sum_of_the_stems(dataset):
    item = listening_queue(dataset, "guitar")[1]
    one, _ = audio.read(item.folder / "guitar" / "one.wav", start=10 * RATE, n_samples=2 * RATE)
    samples, rate = excerpt(item, [(10, 12)])
    np.testing.assert_allclose(samples, 1.5 * one, atol=2e-4)
    whole, _ = excerpt(item, [(10, 12)], in_mix=True)
    np.testing.assert_allclose(whole, 1.7 * one, atol=3e-4)
    assert soundfile.info(io.BytesIO(wav_bytes(samples, rate))).duration == 2


def test_what_cannot_be_read_is_told_and_the_others_are_heard(dataset):
    (dataset / "alpha" / "guitar" / "two.wav").write_text("no audio")
    item = listening_queue(dataset, "guitar")[1]
    assert "two.wav" in overview(item).problem and len(overview(item).splits) == 5
    (dataset / "alpha" / "guitar" / "one.wav").write_text("no audio")
    seen = overview(item)
    assert "one.wav" in seen.problem and "two.wav" in seen.problem
    assert (seen.duration_s, seen.splits, seen.spectrum.max()) == (0, (), 0)
    with pytest.raises(DatasetError, match="no guitar stem that can be read"):
        excerpt(item, [(0, 1)])
    (dataset / "alpha" / "drums" / "d.wav").write_text("no audio")
    with pytest.raises(DatasetError, match="no stem that can be read"):
        excerpt(item, [(0, 1)], in_mix=True)


def test_a_file_that_breaks_off_is_told(dataset):
    whole = 0.1 * np.ones((60 * RATE, 1), np.float32) * np.random.default_rng(1).standard_normal((60 * RATE, 1))
    path = dataset / "alpha" / "guitar" / "one.flac"
    audio.write(path, whole.astype(np.float32), RATE)
    path.write_bytes(path.read_bytes()[:200_000])
    seen = overview(listening_queue(dataset, "guitar")[1])
    assert "one.flac" in seen.problem and seen.audible[1] > 5


def run_in_terminal(arguments, keys, tmp_path):
    """Run the command in a pseudo-terminal; send each key after the text that it waits for."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", "from splitstrument.cli import main; main()", "dataset", "listen", *arguments]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, close_fds=True)
    os.close(slave)
    text = ""
    for wait_for, key in keys:
        text += read_until(master, wait_for)
        os.write(master, key.encode())
    text += read_until(master, None)
    os.close(master)
    return process.wait(60), text


def read_until(terminal, expected):
    """Read what the program prints until `expected` appears (None: until it ends)."""
    text = ""
    while expected is None or expected not in text:
        if not select.select([terminal], [], [], 60)[0]:
            pytest.fail(f"no {expected!r} within a minute; the terminal shows {text!r}")
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux: the other side has closed
            part = b""
        if not part:
            assert expected is None, text
            break
        text += part.decode()
    return text


@pytest.fixture
def player(tmp_path):
    """A program that notes the length of what it is asked to play."""
    script, log = tmp_path / "player.py", tmp_path / "played.txt"
    script.write_text(
        "import sys, wave\n"
        "with wave.open(sys.argv[-1]) as file, open(sys.argv[1], 'a') as log:\n"
        "    print(round(file.getnframes() / file.getframerate(), 2), file=log, flush=True)\n"
    )
    return f"{sys.executable} {script} {log}", log


def test_keys_play_mark_and_go_on_through_a_terminal(dataset, player, tmp_path):
    command, _ = player
    keys = [
        ("playing 20-22 s", "b"),
        ("marks: bleed", "q"),
        ("bleed", "b"),
        ("marks: bad_quality", "\r"),
        ("2/3  alpha", "np"),  # typed ahead
        ("3/3  gamma", ""),
        ("2/3  alpha", "a"),
        ("3/3  gamma", "x"),
    ]
    status, text = run_in_terminal([str(dataset), "--target", "guitar", "--player", command], keys, tmp_path)
    assert status == 0 and "suspected bleed: hears drums" in text
    assert read_marks(dataset / "beta", "guitar") == {"bad_quality", "checked"}
    assert read_marks(dataset / "alpha", "guitar") == {"checked"} and not read_marks(dataset / "gamma", "guitar")
    assert "2 accepted, 1 of 3 left" in text


def test_an_unreadable_stem_is_shown_marked_and_passed(dataset, player, tmp_path):
    for path in (dataset / "beta" / "guitar").iterdir():
        path.write_text("no audio")
    keys = [("cannot be read", "w"), ("playing nothing", "m"), ("marks: missing", "n"), ("2/3  alpha", "x")]
    status, text = run_in_terminal([str(dataset), "--target", "guitar", "--player", player[0]], keys, tmp_path)
    assert status == 0 and "one.wav" in text
    assert read_marks(dataset / "beta", "guitar") == {"missing"}


def test_the_player_gets_suspicious_seconds_and_splits(dataset, player):
    from splitstrument.cli.terminal_listening import ProgramPlayer

    command, log = player
    item = listening_queue(dataset, "guitar")[0]
    seen = overview(item)
    opened = ProgramPlayer(command)
    opened.play(*excerpt(item, [*seen.suspicious, *seen.splits]))
    opened._process.wait(60)
    opened.close()
    assert float(log.read_text()) == pytest.approx(2 + 5 * 4 + 5 * 0.25, abs=0.02)
    assert not Path(opened._folder.name).exists()


def test_checked_stems_are_not_asked_again(dataset):
    for name in ("alpha", "beta", "gamma"):
        set_mark(dataset / name, "guitar", "checked")
    from click.testing import CliRunner

    from splitstrument.cli.dataset_quality import listen

    assert "Everything is checked" in CliRunner().invoke(listen, [str(dataset), "--target", "guitar"]).output


def test_no_player_and_a_wrong_player_are_one_sentence(monkeypatch):
    from splitstrument.cli import terminal_listening

    monkeypatch.setattr(terminal_listening, "PLAYERS", ("no-such-player",))
    monkeypatch.setattr(terminal_listening, "_sound_device", lambda: None)
    with pytest.raises(MissingExtraError, match="--player, or listen in the browser"), terminal_listening.open_player():
        pass
    with pytest.raises(SettingsError, match="no program 'no-such'"), terminal_listening.open_player("no-such -q"):
        pass
