"""Statistics of the three stages, against numbers known beforehand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from splitstrument import audio
from splitstrument.cli.dataset_split import stats
from splitstrument.curation.statistics import dataset_statistics, plot_statistics, stage_of
from splitstrument.errors import DatasetError
from splitstrument.executor import InlineExecutor


def tone(seconds, level_db, rate, n_channels=1, silent_s=0.0):
    """A sine of known RMS with silence before it."""
    n = round(seconds * rate)
    wave = 10 ** (level_db / 20) * np.sqrt(2) * np.sin(2 * np.pi * 441 * np.arange(n) / rate)
    wave[: round(silent_s * rate)] = 0
    return np.repeat(wave[:, None], n_channels, 1).astype(np.float32)


@pytest.fixture
def organised(tmp_path):
    folder = tmp_path / "organised"
    for i, (level, silent) in enumerate([(-20, 0), (-30, 18)]):
        audio.write(folder / f"song {i}" / "guitar" / "g.wav", tone(36, level, 8000, silent_s=silent), 8000)
        audio.write(folder / f"song {i}" / "drums" / "d.flac", tone(36, -12, 16000, 2), 16000)
    return folder


def test_hours_silence_levels_and_rates(organised):
    result = dataset_statistics(organised, InlineExecutor(), quiet=True)
    rows = {row["part"]: row for row in result.rows()}
    guitar, drums = rows["guitar"], rows["drums"]
    assert (result.stage, result.n_tracks) == ("organised", 2)
    assert guitar["hours"] == pytest.approx(0.02) and drums["hours"] == pytest.approx(0.02)
    assert guitar["silent_percent"] == pytest.approx(25, abs=0.1)
    assert guitar["level_dbfs"]["p50"] == pytest.approx(-25, abs=1)
    assert drums["sample_rates_hz"] == {16000: 2} and drums["n_channels"] == {2: 2}


def test_stage_is_told_by_the_layout(organised, tmp_path):
    assert stage_of(organised) == "organised"
    audio.write(tmp_path / "raw" / "a.wav", tone(1, -20, 8000), 8000)
    assert stage_of(tmp_path / "raw") == "raw"
    for part in ("instrument", "rest"):
        audio.write(tmp_path / "p" / "tracks_8000hz" / "x" / f"{part}_x.wav", tone(1, -20, 8000), 8000)
    assert stage_of(tmp_path / "p") == "pairs"
    rows = dataset_statistics(tmp_path / "p", InlineExecutor(), quiet=True).rows()
    assert [row["part"] for row in rows] == ["instrument", "rest"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no audio file"):
        stage_of(tmp_path / "empty")


def test_a_rate_that_is_not_there_is_refused(organised, tmp_path):
    for rate in (8000, 16000):
        for part in ("instrument", "rest"):
            audio.write(tmp_path / "p" / f"tracks_{rate}hz" / "x" / f"{part}_x.wav", tone(1, -20, rate), rate)
    for rate in (8000, 16000):
        assert dataset_statistics(tmp_path / "p", InlineExecutor(), rate, True).files[0].sample_rate_hz == rate
    inside = dataset_statistics(tmp_path / "p" / "tracks_8000hz", InlineExecutor(), 8000, True)
    assert inside.files[0].sample_rate_hz == 8000
    with pytest.raises(DatasetError, match="no pairs of 12345 Hz: it has tracks_16000hz, tracks_8000hz"):
        dataset_statistics(tmp_path / "p", InlineExecutor(), 12345, True)
    with pytest.raises(DatasetError, match="no pairs of 16000 Hz: it has 8000 Hz"):
        dataset_statistics(tmp_path / "p" / "tracks_8000hz", InlineExecutor(), 16000, True)
    with pytest.raises(DatasetError, match="organised stems, which have no rate to choose"):
        dataset_statistics(organised, InlineExecutor(), 8000, True)


def test_command_goes_on_after_a_broken_file_and_says_so(organised):
    (organised / "song 0" / "guitar" / "broken.wav").write_text("not audio")
    result = CliRunner().invoke(stats, [str(organised), "--json", "--quiet"])
    assert result.exit_code == 1 and result.stderr.count("broken.wav") == 1
    assert json.loads(result.stdout)["parts"][1]["n_files"] == 2


def test_plot_is_a_picture(organised, tmp_path):
    pytest.importorskip("matplotlib")
    plot_statistics(dataset_statistics(organised, InlineExecutor(), quiet=True), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
