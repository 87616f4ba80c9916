"""The keyboard tool of the thesis: hear the suspicious seconds and five splits of a stem, mark it by a key, go on."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import click

from splitstrument.audio import Audio
from splitstrument.curation.listening import Item, Overview, excerpt, overview, wav_bytes
from splitstrument.datasets.marks import CHECKED, MARKS, set_mark
from splitstrument.errors import AudioFileError, DatasetError, MissingExtraError, SettingsError

# commands that play one WAV file and end; tried in this order
PLAYERS = (
    "ffplay -nodisp -autoexit -loglevel quiet",
    "pw-play",
    "paplay",
    "aplay -q",
    "afplay",
    "play -q",
)
MARK_KEYS = {
    "b": "bleed",
    "q": "bad_quality",
    "m": "missing",
    "i": "inaudible",
    "l": "mislabeled",
    "d": "detailed",
    "h": "audible",
}
NEXT_KEYS, ACCEPT_KEYS = ("n", " ", "\x1b[C"), ("a", "\r", "\n")
BACK_KEYS, QUIT_KEYS = ("p", "\x1b[D"), ("x", "\x1b", "\x04")
REPLAY_KEY, MIX_KEY = "r", "w"
HELP = (
    "1-5 split  s suspicious  r again  w whole song | a or Enter: accept (checked)  n or space: next  p: previous\n"
    + "  ".join(f"{key} {mark}" for key, mark in MARK_KEYS.items())
    + " (again: take it back)  x or Esc: end"
)


class Player(Protocol):
    """Something that makes sound."""

    def play(self, samples: Audio, sample_rate_hz: int) -> None:
        """Start playing, ending what played before; does not wait."""

    def stop(self) -> None:
        """End what plays."""


class ProgramPlayer:
    """Plays through a program that takes a WAV file as its last argument."""

    def __init__(self, command: str) -> None:
        self.command = shlex.split(command)
        if not self.command or shutil.which(self.command[0]) is None:
            raise SettingsError(f"There is no program {command.split(' ')[0]!r} to play with: check --player.")
        self._folder = tempfile.TemporaryDirectory(prefix="splitstrument-")
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0

    def play(self, samples: Audio, sample_rate_hz: int) -> None:
        """Write the samples to a file and start the program."""
        self.stop()
        self._count += 1
        path = Path(self._folder.name) / f"{self._count}.wav"
        path.write_bytes(wav_bytes(samples, sample_rate_hz))
        self._process = subprocess.Popen(
            [*self.command, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """End the program and delete its file."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
        for path in Path(self._folder.name).iterdir():
            path.unlink()

    def close(self) -> None:
        """End playing and remove the folder of excerpts."""
        self.stop()
        self._folder.cleanup()


class SoundDevicePlayer:
    """Plays through the Python package sounddevice."""

    def __init__(self) -> None:
        import sounddevice

        sounddevice.check_output_settings()
        self._device = sounddevice

    def play(self, samples: Audio, sample_rate_hz: int) -> None:
        """Start playing."""
        self._device.play(samples, sample_rate_hz)

    def stop(self) -> None:
        """End playing."""
        self._device.stop()

    def close(self) -> None:
        """End playing."""
        self.stop()


@contextlib.contextmanager
def open_player(command: str | None = None) -> Iterator[ProgramPlayer | SoundDevicePlayer]:
    """Open the player that `command` names, else sounddevice, else the first program that is installed.

    Raises
    ------
    MissingExtraError
        If there is nothing to play with.
    """
    player = ProgramPlayer(command) if command else _sound_device() or _first_program()
    try:
        yield player
    finally:
        player.close()


def _sound_device() -> SoundDevicePlayer | None:
    try:
        return SoundDevicePlayer()
    except Exception:  # not installed, no PortAudio, no device: each its own exception, all mean the same here
        return None


def _first_program() -> ProgramPlayer:
    for command in PLAYERS:
        if shutil.which(command.split()[0]):
            return ProgramPlayer(command)
    programs = ", ".join(command.split()[0] for command in PLAYERS)
    raise MissingExtraError(
        f"Nothing here can play audio: `pip install sounddevice`, install one of {programs}, name a program with "
        "--player, or listen in the browser with --web."
    )


@contextlib.contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """Give a function that waits for one key; keys that were typed ahead are kept, and nothing typed is shown.

    Where standard input is no terminal of a POSIX system, keys are read by click.
    """
    if os.name != "posix" or not sys.stdin.isatty():
        yield click.getchar
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    keys: list[str] = []

    def read_key() -> str:
        while not keys:
            typed = os.read(terminal, 64)
            if not typed:
                return QUIT_KEYS[-1]
            keys.extend(re.findall("\x1b\\[[0-9;]*[A-Za-z~]|.", typed.decode(errors="replace"), re.DOTALL))
        return keys.pop(0)

    try:
        yield read_key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def listen_in_terminal(items: Sequence[Item], player: Player) -> int:
    """Go through `items` by keys; return how many were accepted."""
    click.echo(HELP)
    position = accepted = 0
    with keyboard() as read_key:
        while 0 <= position < len(items):
            item = items[position]
            key = _judge(item, player, f"{position + 1}/{len(items)}", read_key)
            player.stop()
            if key in QUIT_KEYS:
                break
            if key in ACCEPT_KEYS:
                set_mark(item.folder, item.stem_class, CHECKED)
                accepted += 1
            position = max(0, position - 1) if key in BACK_KEYS else position + 1
    click.echo(f"{accepted} accepted, {sum(not item.is_done for item in items)} of {len(items)} left")
    return accepted


def _judge(item: Item, player: Player, place: str, read_key: Callable[[], str]) -> str:
    """Play one item until a key leaves it; return that key. One that cannot be read is shown, not played."""
    seen = overview(item)
    _describe(item, seen, place)
    spans, in_mix = [*seen.suspicious, *seen.splits], False
    _play(item, spans, in_mix, player)
    while True:
        key = read_key()
        if key in (*ACCEPT_KEYS, *NEXT_KEYS, *BACK_KEYS, *QUIT_KEYS):
            return key
        if mark := MARK_KEYS.get(key):
            set_mark(item.folder, item.stem_class, mark, mark not in item.marks)
            click.echo(f"  marks: {_marks_text(item)}")
            continue
        chosen = _chosen_spans(key, seen, spans)
        if key == MIX_KEY:
            in_mix = not in_mix
        elif chosen is None:
            click.echo(HELP)
            continue
        spans = chosen or spans
        _play(item, spans, in_mix, player)


def _chosen_spans(key: str, seen: Overview, spans: list[tuple[float, float]]) -> list[tuple[float, float]] | None:
    """Return the spans that a key asks to hear; None for a key that asks for nothing."""
    if key == REPLAY_KEY:
        return spans
    if key == "s":
        return list(seen.suspicious or seen.splits)
    if key.isdigit() and 1 <= int(key) <= len(seen.splits):
        return [seen.splits[int(key) - 1]]
    return None


def _play(item: Item, spans: Sequence[tuple[float, float]], in_mix: bool, player: Player) -> None:
    if not spans:
        click.echo("  playing nothing: no second of it can be heard")
        return
    try:
        player.play(*excerpt(item, spans, in_mix))
    except (AudioFileError, DatasetError) as error:
        click.echo(f"  cannot be played: {error}")
        return
    click.echo("  playing " + " ".join(f"{start:.0f}-{end:.0f} s" for start, end in spans))


def _describe(item: Item, seen: Overview, place: str) -> None:
    click.secho(f"\n{place}  {item.track}  [{item.stem_class}]  {seen.duration_s:.0f} s", bold=True)
    click.echo(f"  marks: {_marks_text(item)}")
    if seen.problem:
        click.echo(f"  cannot be read: {seen.problem}")
    for finding in item.findings:
        click.echo(f"  suspected {finding.check}: {finding.message}")


def _marks_text(item: Item) -> str:
    return ", ".join(mark for mark in MARKS if mark in item.marks) or "none"
