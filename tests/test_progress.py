"""Progress: silent when asked, a bar with time left on a terminal, rare lines elsewhere."""

from __future__ import annotations

import io

import pytest

import splitstrument.progress as module
from splitstrument.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(monkeypatch, stream, seconds_per_step=0.0, **options):
    clock = iter(range(10**6))
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock) * seconds_per_step)
    with progress("separating", 10, **options) as advance:
        for _ in range(10):
            advance(1, "song.wav")
    return stream.getvalue()


def test_quiet_prints_nothing(monkeypatch):
    assert run(monkeypatch, Terminal(), quiet=True) == ""


def test_short_work_prints_no_lines(monkeypatch):
    assert run(monkeypatch, io.StringIO(), 0.1) == ""


def test_long_work_prints_time_left(monkeypatch):
    lines = run(monkeypatch, io.StringIO(), 6).splitlines()
    assert lines[0] == "separating: 20 %, 48 s left song.wav"
    assert len(lines) == 5  # every ten seconds, not every step


def test_the_bar_ends_full(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = run(monkeypatch, Terminal(), 0.5)
    assert "100 %" in text and "separating" in text


def test_names_are_no_markup(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stderr", Terminal())
    with progress("a[/b] [red]", 1) as advance:
        advance(1, "[/] [bold]gtr.wav")
    text = module.sys.stderr.getvalue()
    assert "a[/b] [red]" in text and "[/] [bold]gtr.wav" in text


def test_errors_pass_through(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with pytest.raises(ValueError, match="inside"), progress("x", 1):
        raise ValueError("inside")
