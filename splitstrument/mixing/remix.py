"""A new mix of a song from its stems: levels, equalizers, places, loudness; block by block.

With nothing changed, what comes out is the song: stems are added in double precision and written as they were. The
order for each stem is equalizer, gain, place; for the sum loudness, then a true-peak limiter where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument import audio
from splitstrument.audio import AudioWriter
from splitstrument.errors import SettingsError
from splitstrument.files import sha256_of
from splitstrument.loudness import Loudness, LoudnessMeter
from splitstrument.mixing.effects.chain import Effect
from splitstrument.mixing.effects.equalizer import Band, ParametricEqualizer, curve_equalizer
from splitstrument.mixing.mix_files import (
    Report,
    check_output,
    check_stems,
    clipping_notes,
    limited_blocks,
    write_mix_sidecar,
)
from splitstrument.mixing.practice import Mix, practised
from splitstrument.mixing.remix_settings import CurveStep, RemixSettings, StemMix, WordStep
from splitstrument.mixing.words import Word, find_word

RAMP_S = 0.002


@dataclass(frozen=True)
class Remixed:
    """Files that `remix_files` wrote.

    Attributes
    ----------
    song, mix
        Loudness of the sum of the stems as they are, and of what was written.
    gain_db
        Applied to the mix for its loudness.
    limited
        Whether the limiter was needed.
    notes
        What to know about the mix, in sentences.
    """

    path: Path
    song: Loudness
    mix: Loudness
    gain_db: float
    limited: bool
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        loudness = {"song": self.song.as_dict(), "mix": self.mix.as_dict()}
        return {"path": str(self.path), **loudness, "gain_db": round(self.gain_db, 2), "limited": self.limited,
                "notes": list(self.notes)}  # fmt: skip


def remix_files(
    stems: Mapping[str, Path], output: Path, settings: RemixSettings, report: Report = lambda seconds: None
) -> Remixed:
    """Mix stems that lie in files to one file, with a sidecar (``<output>.json``) that says how.

    Parameters
    ----------
    stems
        Name -> file; equally long, of one rate.
    output
        ``.wav``, ``.flac``, ``.mp3`` or ``.ogg``.
    report
        Called with the seconds of music that were done; the stems pass twice.

    Raises
    ------
    SettingsError
        If stems do not fit together, a stem is named that there is not, a place is asked for in surround, the output is
        one of the stems, or their rate is too low for a loudness.
    AudioFileError
        If a file cannot be read or written.
    """
    info, subtype = check_stems(stems)
    check_names(settings, stems)
    n_channels = _n_channels(settings, info.n_channels)
    check_output(stems, output)
    hashes = {name: sha256_of(path) for name, path in stems.items()}
    song, mix = (LoudnessMeter(info.sample_rate_hz, count) for count in (info.n_channels, n_channels))
    for mixed, as_it_was in _mixed(stems, settings, info.sample_rate_hz, n_channels):
        song.add(as_it_was.astype(np.float32))
        mix.add(mixed.astype(np.float32))
        report(len(mixed) / info.sample_rate_hz)
    before, unscaled = song.result(), mix.result()
    gain_db = _master_gain_db(settings, before, unscaled)
    ceiling = max(settings.ceiling_dbtp, min(0.0, _peak_dbtp(before)))
    limited = not settings.is_neutral and _peak_dbtp(unscaled) + gain_db > ceiling
    stretched = settings.practice is not None and settings.practice.is_stretched
    limiting = ceiling if limited or stretched else None
    played, after = (LoudnessMeter(info.sample_rate_hz, n_channels) for _ in range(2))
    with AudioWriter(output, info.sample_rate_hz, n_channels, subtype(output), info.n_samples) as writer:
        for block in _written(stems, settings, info.sample_rate_hz, n_channels, gain_db, limiting, played):
            writer.write(block)
            after.add(block.astype(np.float32))
            report(len(block) / info.sample_rate_hz)
    heard = after.result()
    limited = _peak_dbtp(played.result()) > ceiling if stretched else limited
    notes = [*_notes(settings, limited, ceiling), *clipping_notes(heard, subtype(output))]
    result = Remixed(output, before, heard, gain_db, limited, tuple(notes))
    write_mix_sidecar(output, settings, result.as_dict(), stems, hashes)
    return result


def _written(
    stems: Mapping[str, Path],
    settings: RemixSettings,
    sample_rate_hz: int,
    n_channels: int,
    gain_db: float,
    ceiling_dbtp: float | None,
    played: LoudnessMeter,
) -> Iterator[Mix]:
    """Blocks of what is written: the mix with its master, played as one practises where that is asked for.

    Another speed or key moves the peaks, so that its limiter comes last; `played` measures what comes to it.
    """

    def song() -> Iterator[Mix]:
        return (10 ** (gain_db / 20) * mixed for mixed, _ in _mixed(stems, settings, sample_rate_hz, n_channels))

    def limited(blocks: Iterator[Mix]) -> Iterator[Mix]:
        return blocks if ceiling_dbtp is None else limited_blocks(blocks, sample_rate_hz, n_channels, ceiling_dbtp)

    practice = settings.practice
    if practice is None:
        return limited(song())
    if not practice.is_stretched:
        return practised(lambda: limited(song()), sample_rate_hz, n_channels, practice)
    return limited(_measured(practised(song, sample_rate_hz, n_channels, practice), played))


def _measured(blocks: Iterable[Mix], meter: LoudnessMeter) -> Iterator[Mix]:
    for block in blocks:
        meter.add(block.astype(np.float32))
        yield block


def check_names(settings: RemixSettings, stems: Iterable[str]) -> None:
    """Refuse settings for a stem that is not there.

    Raises
    ------
    SettingsError
    """
    unknown = sorted(settings.stems.keys() - set(stems))
    if unknown:
        raise SettingsError(f"There is no stem {unknown[0]!r}: these stems are {', '.join(stems)}.")


def _n_channels(settings: RemixSettings, n_channels: int) -> int:
    """Channels of the mix of a song of `n_channels`: a place makes mono stereo, and is none in surround."""
    if not any(mix.pan for mix in settings.stems.values()):
        return n_channels
    if n_channels > 2:
        raise SettingsError(f"A place (--pan) is for mono and stereo songs; this one has {n_channels} channels.")
    return 2


def equalizer_of(mix: StemMix, sample_rate_hz: int, n_channels: int) -> list[Effect]:
    """The effects of one stem."""
    effects: list[Effect] = []
    for step in mix.equalizer:
        if isinstance(step, WordStep | CurveStep):
            word = find_word(step.word) if isinstance(step, WordStep) else _word_of(step)
            effects.append(curve_equalizer(word.hertz, word.curve_db(step.amount), sample_rate_hz, n_channels))
        elif step.hertz < sample_rate_hz / 2:
            band = Band("peak", step.hertz, step.gain_db, step.quality)
            effects.append(ParametricEqualizer([band], sample_rate_hz, n_channels))
    return effects


def _word_of(step: CurveStep) -> Word:
    hertz, gains_db = zip(*step.points, strict=True)
    return Word(step.name, hertz, gains_db, "", "")


def _mixed(
    stems: Mapping[str, Path], settings: RemixSettings, sample_rate_hz: int, n_channels: int
) -> Iterator[tuple[Mix, Mix]]:
    """Blocks of the mix without its master, and of the stems' sum as they are."""
    mixes = [settings.of(name) for name in stems]
    widths = [audio.probe(path).n_channels for path in stems.values()]
    chains = [equalizer_of(mix, sample_rate_hz, width) for mix, width in zip(mixes, widths, strict=True)]
    position = 0
    for blocks in zip(*(audio.blocks(path) for path in stems.values()), strict=True):
        placed = [_placed(block, mix, chain) for block, mix, chain in zip(blocks, mixes, chains, strict=True)]
        for index, mix in enumerate(mixes):
            if mix.quiet:
                placed[index] = placed[index] * _still(position, len(placed[index]), sample_rate_hz, mix.quiet)
        position += len(blocks[0])
        mixed = np.zeros((len(blocks[0]), n_channels))
        for stem in placed:
            mixed += stem
        yield mixed, np.sum([block.astype(np.float64) for block in blocks], axis=0)


def _placed(block: audio.Audio, mix: StemMix, effects: list[Effect]) -> Mix:
    """One block of one stem as it is in the mix: equalizers have no latency, so that it comes at once."""
    if mix.mute:
        return np.zeros((len(block), 1))
    for effect in effects:
        block = effect.process(block)
    stem = 10 ** (mix.gain_db / 20) * block.astype(np.float64)
    return stem * np.minimum(1, [1 - mix.pan, 1 + mix.pan]) if mix.pan else stem


def _still(position: int, n_samples: int, sample_rate_hz: int, quiet: Iterable[tuple[float, float]]) -> Mix:
    """Gain of a stem, (n_samples, 1): 0 between the places that it is silent at, with short ramps inside of them."""
    time_s = (position + np.arange(n_samples)) / sample_rate_hz
    gain = np.ones(n_samples)
    for start_s, end_s in quiet:
        gain = np.minimum(gain, np.clip(np.maximum(start_s - time_s, time_s - end_s) / RAMP_S + 1, 0, 1))
    return gain[:, None]


def _peak_dbtp(loudness: Loudness) -> float:
    return -np.inf if loudness.true_peak_dbtp is None else loudness.true_peak_dbtp


def _master_gain_db(settings: RemixSettings, song: Loudness, mix: Loudness) -> float:
    """Gain that gives the mix its loudness; 0 where there is none to measure."""
    target = song.integrated_lufs if settings.loudness == "same" else settings.loudness
    if settings.is_neutral or not isinstance(target, float) or mix.integrated_lufs is None:
        return 0.0
    return target - mix.integrated_lufs


def _notes(settings: RemixSettings, limited: bool, ceiling_dbtp: float) -> Iterator[str]:
    for name, mix in settings.stems.items():
        if mix.mute:
            yield f"What the model left of the {name} in other stems is still there."
        elif mix.solo:
            yield f"What the model left of the {name} in other stems is missing."
        elif mix.gain_db > 0:
            yield f"The {name} is {mix.gain_db:g} dB louder, and so is what other instruments left in its stem."
    if limited:
        yield f"Peaks were turned down to {ceiling_dbtp:.1f} dBTP."
