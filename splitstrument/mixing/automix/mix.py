"""From a folder of stems to an automatic mix: measure, decide by rules, mix; block by block.

The stems pass three times: to measure them, to know how loud lead and mix come out, to write the mix; the lead once
more where its range is too large. Memory grows by some numbers a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.audio import Audio, AudioInfo, AudioWriter
from splitstrument.errors import SettingsError
from splitstrument.files import sha256_of
from splitstrument.loudness import Loudness, LoudnessMeter, integrated_lufs
from splitstrument.mixing.automix import rules
from splitstrument.mixing.automix.bands import BandMeter
from splitstrument.mixing.automix.dynamics import Compression, RangeSearch, candidates
from splitstrument.mixing.automix.rules import Decision
from splitstrument.mixing.automix.settings import AutomixSettings
from splitstrument.mixing.automix.tempo import TempoMeter
from splitstrument.mixing.effects.chain import Effect, run
from splitstrument.mixing.effects.equalizer import Band, ParametricEqualizer
from splitstrument.mixing.effects.reverb import Reverb, room
from splitstrument.mixing.mix_files import (
    Report,
    check_output,
    check_stems,
    clipping_notes,
    limited_blocks,
    write_mix_sidecar,
)
from splitstrument.mixing.practice import Mix
from splitstrument.streams import ahead, aligned

ROOM_SEED = 0


@dataclass(frozen=True)
class Curves:
    """What the plots show: levels by octave, and loudness over time in LUFS, a tenth of a second apart."""

    octaves_hz: tuple[float, ...]
    levels_db: NDArray[np.float64] | None
    short_term_lufs: NDArray[np.float64]


@dataclass(frozen=True)
class Automixed:
    """Files that `automix_files` wrote.

    Attributes
    ----------
    before, after
        Loudness of the sum of the stems as they are, and of what was written.
    before_curves, after_curves
        For plots; levels are those of lead and backing (2, n_octaves).
    """

    path: Path
    lead: str
    decisions: tuple[Decision, ...]
    before: Loudness
    after: Loudness
    before_curves: Curves = field(repr=False)
    after_curves: Curves = field(repr=False)
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        loudness = {"before": self.before.as_dict(), "after": self.after.as_dict()}
        decisions = [asdict(decision) for decision in self.decisions]
        return {"path": str(self.path), "lead": self.lead, "decisions": decisions, **loudness,
                "notes": list(self.notes)}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is done to the lead, then to the mix."""

    bands: tuple[Band, ...] = ()
    compression: Compression | None = None
    gain_db: float = 0.0
    rt60_s: float | None = None
    master_db: float = 0.0
    ceiling_dbtp: float | None = None


def automix_files(
    stems: Mapping[str, Path],
    output: Path,
    settings: AutomixSettings | None = None,
    report: Report = lambda seconds: None,
) -> Automixed:
    """Mix stems that lie in files by rules, with a sidecar (``<output>.json``) that says what was decided and why.

    Parameters
    ----------
    stems
        Name -> file; equally long, of one rate; at least two.
    output
        ``.wav``, ``.flac``, ``.mp3`` or ``.ogg``.
    report
        Called with seconds of music that were done, in all three times the song.

    Raises
    ------
    SettingsError
        If stems do not fit together, there are fewer than two, the lead is none of them, or the output is one.
    AudioFileError
        If a file cannot be read or written.
    """
    settings = settings or AutomixSettings()
    info, subtype = check_stems(stems)
    check_output(stems, output)
    if len(stems) < 2:
        raise SettingsError(f"An automatic mix sets a lead against a backing: {next(iter(stems))} is the only stem.")
    if settings.lead is not None and settings.lead not in stems:
        raise SettingsError(f"There is no stem {settings.lead!r} to lead: these stems are {', '.join(stems)}.")
    hashes = {name: sha256_of(path) for name, path in stems.items()}
    work = _Work(stems, info, settings, report)
    plan = work.decide()
    result = work.write(plan, output, subtype(output))
    write_mix_sidecar(output, settings, result.as_dict(), stems, hashes)
    return result


class _Work:
    """The passes over one song."""

    def __init__(self, stems: Mapping[str, Path], info: AudioInfo, settings: AutomixSettings, report: Report) -> None:
        self.stems, self.settings, self.report = stems, settings, report
        self.rate, self.n_channels, self.n_samples = info.sample_rate_hz, info.n_channels, info.n_samples
        self.decisions: list[Decision] = []
        self.lead = ""

    def decide(self) -> Plan:
        """Measure, and let every rule decide."""
        lead, plan, settings = self._measure(), Plan(), self.settings
        if settings.equalizer:
            plan = replace(plan, bands=self._note(*rules.equalize(self.before.octaves_hz, self.before.levels_db)))
        if settings.compression:
            plan = replace(plan, compression=self._note(*self._compress(plan, lead)))
        if settings.reverb:
            tempo = settings.tempo_bpm or self.tempo.tempo_bpm()
            plan = replace(plan, rt60_s=self._note(*rules.choose_room(tempo, settings.tempo_bpm is not None)))
        if settings.level or settings.master:
            plan = self._set_levels(plan)
        self._name_switched_off()
        return plan

    def _note(self, outcome: Any, decision: Decision) -> Any:
        self.decisions.append(decision)
        return outcome

    def _name_switched_off(self) -> None:
        """Give every rule its line, in their order."""
        said = {decision.rule: decision for decision in self.decisions}
        order = ("lead", "equalizer", "compression", "level", "reverb", "master")
        self.decisions = [said.get(rule) or rules.switched_off(rule) for rule in order]

    def _measure(self) -> Loudness:
        """Pass over all stems as they are; the loudness of the lead."""
        self.lead = self._choose_lead()
        bands, self.tempo = BandMeter(self.rate), TempoMeter(self.rate)
        lead_meter, self.backing, meter = (self._meter(true_peak=False) for _ in range(3))
        for lead, backing in self._processed(Plan()):
            lead_meter.add(lead.astype(np.float32))
            self.backing.add(backing.astype(np.float32))
            meter.add((lead + backing).astype(np.float32))
            if self.settings.reverb and self.settings.tempo_bpm is None:
                self.tempo.add(lead + backing)
            bands.add(lead, backing)
            self.report(len(lead) / self.rate)
        self.before_loudness = meter.result()
        self.before = Curves(bands.octaves_hz, bands.levels_db(), meter.short_term())
        return lead_meter.result()

    def _choose_lead(self) -> str:
        names, wanted = list(self.stems), self.settings.lead
        named = wanted is not None or any(name in rules.LEADS for name in names)
        loudness = {} if named else {name: self._loudness_of(path) for name, path in self.stems.items()}
        decision = rules.choose_lead(names, loudness, wanted)
        self.decisions.append(decision)
        return decision.decision

    def _loudness_of(self, path: Path) -> float | None:
        meter = self._meter(true_peak=False)
        for block in audio.blocks(path):
            meter.add(block)
        return meter.result().integrated_lufs

    def _compress(self, plan: Plan, lead: Loudness) -> tuple[Compression | None, Decision]:
        """Try compressions where the range is too large."""
        limit, peak = self.settings.range_lu, lead.sample_peak_dbfs
        if not rules.needs_compression(lead.range_lu, limit) or peak is None:
            return rules.compress(lead.range_lu, limit, [], [])
        search = RangeSearch(candidates(peak), self.rate, self.n_channels)
        for block in self._lead_blocks(plan):
            search.add(block)
        return rules.compress(lead.range_lu, limit, search.settings, search.ranges_lu())

    def _set_levels(self, plan: Plan) -> Plan:
        """Pass over lead and backing at their levels; decide on the lead's gain, then on the mix's.

        Energies of lead, backing and their sum tell the loudness of the mix for any gain of the lead, so that no other
        pass is needed to know it.
        """
        dry, wet, together = (self._meter(true_peak=False) for _ in range(3))
        for lead, wet_lead, backing in self._parts(plan):
            dry.add(lead)
            wet.add(wet_lead)
            together.add((wet_lead + backing).astype(np.float32))
            self.report(len(lead) / self.rate)
        backing_loudness = self.backing.result()
        if self.settings.level:
            gain_db = self._note(*rules.set_level(dry.result(), backing_loudness, self.settings.relative_lu))
            plan = replace(plan, gain_db=gain_db)
        if not self.settings.master:
            return plan
        gain = 10 ** (plan.gain_db / 20)
        alone, others = wet.energies(), self.backing.energies()
        energies = others + gain * (together.energies() - alone - others) + gain**2 * alone
        peaks = [10 ** ((one.result().sample_peak_dbfs or -np.inf) / 20) for one in (wet, self.backing)]
        loudness = integrated_lufs(np.maximum(energies, 0), self.rate)
        master = rules.set_master(
            loudness, gain * peaks[0] + peaks[1], self.settings.loudness_lufs, self.settings.ceiling_dbtp
        )
        self.decisions.append(master[2])
        return replace(plan, master_db=master[0], ceiling_dbtp=self.settings.ceiling_dbtp if master[1] else None)

    def write(self, plan: Plan, output: Path, subtype: str) -> Automixed:
        """Mix for good."""
        bands, gain = BandMeter(self.rate), 10 ** (plan.master_db / 20)
        meter = self._meter(true_peak=True)

        def mixed() -> Iterator[Mix]:
            for lead, backing in self._processed(plan):
                bands.add(lead, backing)
                self.report(len(lead) / self.rate)
                yield gain * (lead + backing)

        blocks = mixed()
        if plan.ceiling_dbtp is not None:
            blocks = limited_blocks(blocks, self.rate, self.n_channels, plan.ceiling_dbtp)
        with AudioWriter(output, self.rate, self.n_channels, subtype, self.n_samples) as writer:
            for block in blocks:
                writer.write(block)
                meter.add(block.astype(np.float32))
        after = meter.result()
        curves = Curves(bands.octaves_hz, bands.levels_db(), meter.short_term())
        notes = tuple(clipping_notes(after, subtype))
        return Automixed(
            output, self.lead, tuple(self.decisions), self.before_loudness, after, self.before, curves, notes
        )

    def _meter(self, true_peak: bool) -> LoudnessMeter:
        return LoudnessMeter(self.rate, self.n_channels, true_peak)

    def _lead_blocks(self, plan: Plan) -> Iterator[Audio]:
        """The lead behind equalizer and compressor."""
        effects: list[Effect] = []
        if plan.bands:
            effects.append(ParametricEqualizer(plan.bands, self.rate, self.n_channels))
        if plan.compression:
            effects.append(plan.compression.effect(self.rate, self.n_channels))
        return run(effects, audio.blocks(self.stems[self.lead]))

    def _parts(self, plan: Plan) -> Iterator[tuple[Audio, Audio, Mix]]:
        """Lead behind equalizer and compressor, the same in its room, and backing, in blocks of one length."""
        reverb = None
        if plan.rt60_s:
            response = room(plan.rt60_s, self.rate, self.n_channels, ROOM_SEED)
            reverb = Reverb(response, self.n_channels, rules.WET_DB)

        def lead() -> Iterator[Audio]:
            for block in self._lead_blocks(plan):
                yield np.hstack([block, reverb.process(block) if reverb else block])

        for both, backing in ahead(aligned(lead(), self._backing_blocks())):
            yield both[:, : self.n_channels], both[:, self.n_channels :], backing

    def _backing_blocks(self) -> Iterator[Mix]:
        others = [audio.blocks(path) for name, path in self.stems.items() if name != self.lead]
        for blocks in zip(*others, strict=True):
            backing = blocks[0].astype(np.float64)
            for block in blocks[1:]:
                backing += block
            yield backing

    def _processed(self, plan: Plan) -> Iterator[tuple[Mix, Mix]]:
        """Lead and backing, before the master, in blocks of one length."""
        gain = 10 ** (plan.gain_db / 20)
        for _, wet, backing in self._parts(plan):
            yield gain * wet.astype(np.float64), backing
