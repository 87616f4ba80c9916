"""Render one track: players to stems, stems to pairs, a record of what was done."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument import audio as audiofile
from splitstrument import stem_set
from splitstrument.audio import Audio
from splitstrument.corpus import (
    amplifiers,
    catalogue,
    codec,
    drumkits,
    effects,
    guests,
    guitars,
    humanise,
    mixdown,
    modelled,
    patches,
    phrases,
    plucked,
    recorded,
    singing,
    soundfonts,
    speech,
    stereo,
    strums,
    voices,
)
from splitstrument.corpus.arrange import Player, TrackPlan, arrange
from splitstrument.corpus.draws import chance, pick, stream
from splitstrument.corpus.midi import Part
from splitstrument.corpus.recipe import CorpusRecipe
from splitstrument.corpus.set_stems import to_stems
from splitstrument.corpus.soundfonts import RATE_HZ
from splitstrument.errors import DatasetError
from splitstrument.files import sha256_of, write_json

TAIL_S = 1.5
SILENT_DB = -70.0
FORMAT = ".flac"
VOICE_RATE_HZ = 22_050
UNAMPLIFIED = ("voice", "sung", "speech", "samples", "strums")  # kinds of players
CODEC_SHARE = 0.6  # of the tracks, where the recipe asks for it


def render_track(plan: TrackPlan, recipe: CorpusRecipe, root: Path, output: Path) -> dict[str, Any]:
    """Render a track below `output`; return its record. A track whose record exists is not rendered again.

    Order of writing: stems, rests, instruments, record; who lists the pairs meanwhile sees whole pairs only.

    Raises
    ------
    DatasetError
        If the song cannot be read or has too little to play.
    """
    record_path = output / "records" / f"{plan.name}.json"
    if plan.source == "phrases":
        players = phrases.band(plan, recipe, root)
    else:
        players = guests.with_guests(arrange(plan, recipe, root), plan, recipe, root)
    if recipe.pure:
        players = [player for player in players if player.stem_class in recipe.targets]
    stage, places = _stage(players, plan, recipe)
    sounds = [player_sound(player, plan, recipe, root, stage, places.get(player.name)) for player in players]
    heard = [i for i, sound in enumerate(sounds) if effects.rms_db(sound) > SILENT_DB]
    players, sounds = [players[i] for i in heard], [sounds[i] for i in heard]
    if len(players) < (1 if recipe.pure else 2):
        raise DatasetError(f"{plan.name}: too few parts can be heard.")
    stems = mix_down(players, sounds, plan, recipe, stage)
    if recipe.form == "stem_set":
        files = stem_set.write_files(output, plan.name, to_stems(players, stems), recipe.sample_rate_hz)
    else:
        files = write_track(players, stems, plan, recipe, output)
    record = {
        **asdict(plan),
        "recipe": recipe.name,
        "recipe_digest": recipe.digest(),
        "seed": recipe.seed,
        "duration_s": round(len(stems[0]) / recipe.sample_rate_hz, 3),
        "players": [describe(player) for player in players],
        "files": {str(path.relative_to(output)): sha256_of(path) for path in files},
    }
    write_json(record_path, record)
    return record


def _stage(
    players: list[Player], plan: TrackPlan, recipe: CorpusRecipe
) -> tuple[stereo.Stage | None, dict[str, tuple[float, ...]]]:
    """The song's stage and every player's places, or None where places are drawn player by player."""
    if not recipe.realism.stereo:
        return None, {}
    rng = stream(recipe.seed, plan.name, "stage")
    stage = stereo.draw_stage(rng)
    classes, takes, roles = ([getattr(p, what) for p in players] for what in ("stem_class", "takes", "role"))
    places = stereo.places(classes, takes, roles, rng, stage)
    return stage, dict(zip([player.name for player in players], places, strict=True))


def player_sound(
    player: Player,
    plan: TrackPlan,
    recipe: CorpusRecipe,
    root: Path,
    stage: stereo.Stage | None = None,
    places: tuple[float, ...] | None = None,
) -> Audio:
    """One player's stem before the mix, at the recipe's rate and channels, on a stage where there is one."""
    total: Audio | None = None
    for take in range(player.takes):
        rng = stream(recipe.seed, plan.name, "take", player.name, str(take))
        who = arrange_take(player, take, plan, recipe, root) if stage else player
        sound, rate_hz = _take(who, rng, recipe, root)
        if effects.rms_db(sound) < SILENT_DB:
            continue
        sound = audiofile.resample(_channels(sound, recipe.channels), rate_hz, recipe.sample_rate_hz)
        sound = effects.floored(sound)
        position = (-0.75, 0.75)[take] if player.takes == 2 else float(np.clip(rng.normal(0, 0.35), -0.9, 0.9))
        if player.stem_class in ("drums", "bass"):
            position = 0.0
        position = places[take] if places else position
        sound = mixdown.studio(sound, recipe.sample_rate_hz, player.stem_class, rng, recipe.realism, position, stage)
        total = sound if total is None else _sum([total, sound])
    return np.zeros((1, recipe.channels), np.float32) if total is None else total


def _take(player: Player, rng: np.random.Generator, recipe: CorpusRecipe, root: Path) -> tuple[Audio, int]:
    """Play a part once, through its amplifier; the sound and its rate."""
    part = player.part
    if player.kind == "phrase":
        return phrases.render_phrase(part, root), phrases.RATE_HZ
    if recipe.realism.humanise:
        tight = player.stem_class in ("drums", "bass", "percussion")
        part = humanise.humanised(part, rng, 0.005 if tight else float(rng.uniform(0.004, 0.014)))
    if player.kind in UNAMPLIFIED:
        return _unamplified(player, part, rng, recipe, root)
    sound, rate_hz = _before_amplifier(player, part, rng, recipe, root)
    if player.amplifier:
        sound = amplifiers.amplify(sound.mean(axis=1, keepdims=True), rate_hz, player.amplifier)
    return sound, rate_hz


def _unamplified(
    player: Player, part: Part, rng: np.random.Generator, recipe: CorpusRecipe, root: Path
) -> tuple[Audio, int]:
    """Play what never goes through an amplifier (`UNAMPLIFIED`); the sound and its rate."""
    if player.kind == "voice":
        return voices.render_voice(part, VOICE_RATE_HZ, rng), VOICE_RATE_HZ
    assert player.bank is not None
    bank = catalogue.bank_path(root, player.bank)
    if player.kind == "sung":
        return singing.render_singing(part, speech.clips_of(bank), rng), speech.RATE_HZ
    if player.kind == "speech":
        return speech.render_speech(part, speech.clips_of(bank), VOICE_RATE_HZ, rng), VOICE_RATE_HZ
    if player.kind == "samples":
        places = stereo.DRUM_PLACES if recipe.realism.stereo else None
        return drumkits.render_kit(part, drumkits.read_kit(bank), RATE_HZ, rng, places), RATE_HZ
    return strums.render_strums(part, strums.read_library(bank), RATE_HZ, rng), RATE_HZ


def _before_amplifier(
    player: Player, part: Part, rng: np.random.Generator, recipe: CorpusRecipe, root: Path
) -> tuple[Audio, int]:
    """Play an instrument before its amplifier, where it has one; the sound and its rate."""
    if player.kind == "modelled" and player.model:
        # nothing above the recipe's own rate is heard, unless an amplifier folds it down
        rate_hz = RATE_HZ if player.amplifier else min(RATE_HZ, recipe.sample_rate_hz)
        return modelled.render(part, player.model, rate_hz, rng), rate_hz
    if player.kind == "strings" and player.strings:
        return plucked.render_strings(part, player.strings, RATE_HZ), RATE_HZ
    if player.kind == "layers":
        layers = catalogue.banks_for(recipe.part, "layers", recipe.banks)
        libraries = {bank.velocity: recorded.library_of(bank, root) for bank in layers}
        return recorded.render_layers(part, libraries, RATE_HZ, rng), RATE_HZ
    assert player.bank is not None
    if player.kind == "notes":
        notes = recorded.library_of(player.bank, root)
        return recorded.render_notes(part, notes, RATE_HZ, rng, player.bank.attack), RATE_HZ
    bank = catalogue.bank_path(root, player.bank)
    if player.kind == "patches":
        return patches.render_patches(part, bank, player.program), RATE_HZ
    return soundfonts.render_part(part, bank, player.program), RATE_HZ


def _channels(sound: Audio, channels: int) -> Audio:
    if channels == 1:
        return sound if sound.shape[1] == 1 else (sound[:, :1] + sound[:, 1:]) * np.float32(0.5)
    return np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound


def _sum(sounds: list[Audio]) -> Audio:
    longest = max(len(sound) for sound in sounds)
    return np.sum([audiofile.fit_length(sound, longest) for sound in sounds], axis=0, dtype=np.float32)


def mix_down(
    players: list[Player],
    sounds: list[Audio],
    plan: TrackPlan,
    recipe: CorpusRecipe,
    stage: stereo.Stage | None = None,
) -> list[Audio]:
    """Levels, width and master; the players' sounds as 16-bit numbers of one common length."""
    last_note = max(player.part.end_s for player in players)
    n_samples = min(max(map(len, sounds)), int((last_note + TAIL_S) * recipe.sample_rate_hz))
    sounds = [audiofile.fit_length(sound, n_samples) for sound in sounds]
    classes, roles = [p.stem_class for p in players], [p.role for p in players]
    rng = stream(recipe.seed, plan.name, "levels")
    if recipe.realism.levels:
        gains = mixdown.class_gains(sounds, classes, roles, recipe.targets, rng, recipe.levels)
        sounds = [effects.gain(sound, db) for sound, db in zip(sounds, gains, strict=True)]
    if stage:
        sounds = [stereo.scaled_side(sound, stage.width) for sound in sounds]
    sounds = mixdown.master(
        sounds, recipe.sample_rate_hz, stream(recipe.seed, plan.name, "master"), recipe.realism, recipe.levels
    )
    if recipe.realism.codec:
        draw = stream(recipe.seed, plan.name, "codec")
        sounds = codec.encoded(sounds, recipe.sample_rate_hz, draw) if chance(draw, CODEC_SHARE) else sounds
    # the limiter holds the mixture, but a part of it can be louder than the whole
    groups = [group for target in recipe.targets for group in split(players, sounds, target)]
    if recipe.form == "stem_set":
        groups += to_stems(players, sounds).values()
    peak = max(float(np.abs(group).max()) for group in [*groups, *sounds])
    scale = 32768 * min(1.0, 0.98 / max(peak, effects.EPSILON))
    return [np.round(sound * scale).astype(np.int16) for sound in sounds]


def arrange_take(player: Player, take: int, plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> Player:
    """Choose the player of one take: the second one often on another amplifier, string set or bank."""
    if not take:
        return player
    rng = stream(recipe.seed, plan.name, "second take", player.name)
    new_amplifier, new_sound = chance(rng, 0.6), chance(rng, 0.4)
    if player.amplifier and new_amplifier:
        responses = list(catalogue.amplifier_responses(root, recipe.part)) if recipe.measured_responses else []
        player = replace(player, amplifier=amplifiers.draw_amplifier(rng, player.amplifier.style, responses))
    if player.model and isinstance(player.model, guitars.Guitar) and new_sound:
        player = replace(player, model=guitars.draw_guitar(rng, player.model.kind))
    if player.strings and new_sound:
        player = replace(player, strings=plucked.draw_strings(rng, player.amplifier is None))
    if player.kind == "bank" and new_sound:
        player = replace(player, bank=pick(rng, catalogue.banks_for(recipe.part, names=recipe.banks)))
    return player


def write_track(
    players: list[Player], stems: list[Audio], plan: TrackPlan, recipe: CorpusRecipe, output: Path
) -> list[Path]:
    """Write stems in the organised form and a pair for each target that plays; the pair is the exact sum of stems."""
    files, rate = [], recipe.sample_rate_hz
    if recipe.keep_stems:
        for player, stem in zip(players, stems, strict=True):
            path = output / "stems" / plan.name / player.stem_class / f"{player.name}{FORMAT}"
            audiofile.write(path, stem, rate, "PCM_16")
            files.append(path)
    for target in recipe.targets:
        instrument, rest = split(players, stems, target)
        if audible_share(instrument, rate) < recipe.min_audible or not (rest.any() or recipe.pure):
            continue
        folder = output / target / f"tracks_{rate}hz" / plan.name
        for role, sound in (("rest", rest), ("instrument", instrument)):
            path = folder / f"{role}_{plan.name}{FORMAT}"
            audiofile.write(path, sound, rate, "PCM_16")
            files.append(path)
    return files


def split(players: list[Player], stems: list[Audio], target: str) -> tuple[Audio, Audio]:
    """Sum of the target's stems and sum of the others, in the stems' own number format."""
    sums = [np.zeros_like(stems[0]), np.zeros_like(stems[0])]
    for player, stem in zip(players, stems, strict=True):
        sums[player.stem_class != target] += stem
    return sums[0], sums[1]


def audible_share(audio: Audio, rate_hz: int) -> float:
    """Share of the seconds of 16-bit audio that are above -50 dBFS."""
    n_seconds = max(1, len(audio) // rate_hz)
    power = np.square(audio[: n_seconds * rate_hz] / 32768.0).mean(axis=1)
    return float(np.mean([block.mean() > 1e-5 for block in np.array_split(power, n_seconds)]))


def describe(player: Player) -> dict[str, Any]:
    """Return the description of a player for the record."""
    amplifier = player.amplifier
    return {
        "name": player.name,
        "class": player.stem_class,
        "kind": player.kind,
        "bank": player.bank.name if player.kind not in ("strings", "voice", "modelled") and player.bank else None,
        "program": player.program,
        "notes": len(player.part.notes),
        "takes": player.takes,
        "amplifier": amplifier.style if amplifier else None,
        "response": amplifier.response.stem if amplifier and amplifier.response else None,
        **({"model": player.model.kind} if player.model and player.kind == "modelled" else {}),
    }
