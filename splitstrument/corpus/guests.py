"""Steps that came after the first corpora: they change a finished band, with draws of their own.

Without them a band is exactly as it was, so that corpora made before stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from splitstrument.corpus import (
    catalogue,
    electric_pianos,
    guitar_playing,
    guitars,
    heavy,
    patches,
    pianos,
    reshape,
)
from splitstrument.corpus.amplifiers import draw_amplifier
from splitstrument.corpus.arrange import FAMILIES, Player, TrackPlan
from splitstrument.corpus.draws import chance, pick, stream
from splitstrument.corpus.midi import Note, Part
from splitstrument.corpus.recipe import CorpusRecipe, Realism

SPEECH_SHARE, KIT_SHARE, PATCHES_SHARE = 0.35, 0.5, 0.2
FM_SHARE, RESHAPED_SHARE, MODELLED_SHARE = 0.12, 0.75, 0.6
SINGING_SHARE, LAYERS_SHARE = 0.75, 0.15
STEPS = {"speech": "speech", "sampled_kits": "samples", "patches": "patches", "recorded_notes": "notes", "fm": "fm"}
STEPS |= {"singing": "speech", "velocity_layers": "layers"}


def kinds_of(real: Realism) -> tuple[str, ...]:
    """Kinds of banks that the steps switched on need."""
    return tuple(kind for step, kind in STEPS.items() if getattr(real, step))


def with_guests(players: list[Player], plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> list[Player]:
    """Swap some instruments for recorded ones and let somebody speak, as far as the recipe asks for it."""
    real = recipe.realism
    players = [_on_own_program(player) for player in players]
    if real.sampled_kits:
        players = [_on_samples(player, plan, recipe) for player in players]
    if real.patches:
        players = [_on_patches(player, plan, recipe, root) for player in players]
    if real.recorded_notes:
        players = [_on_notes(player, plan, recipe) for player in players]
    if real.fm:
        players = [_on_fm(player, plan, recipe) for player in players]
    if real.reshaped:
        players = [_reshaped(player, plan, recipe) for player in players]
    if real.modelled:
        players = [_modelled(player, plan, recipe, root) for player in players]
    if real.velocity_layers:
        players = [_on_layers(player, plan, recipe) for player in players]
    if real.singing:
        players = [_singing(player, plan, recipe) for player in players]
    if real.heavy:
        players = heavy.heavy(players, plan, recipe, root)
    if real.speech:
        players = [*players, *_speaker(players, plan, recipe)]
    return players


def _on_own_program(player: Player) -> Player:
    """On the nearest program whose recordings the bank shares with no other, where it shares some."""
    if player.kind != "bank" or player.stem_class not in ("guitar", "piano") or not player.bank or not player.bank.own:
        return player
    family = [program for program in player.bank.own if program in FAMILIES[player.stem_class]]
    return replace(player, program=min(family, key=lambda program: abs(program - player.program)))


def _on_samples(player: Player, plan: TrackPlan, recipe: CorpusRecipe) -> Player:
    rng = stream(recipe.seed, plan.name, "sampled kit", player.name)
    kits = catalogue.banks_for(recipe.part, "samples", recipe.banks)
    if player.stem_class != "drums" or not kits or not chance(rng, KIT_SHARE):
        return player
    return replace(player, kind="samples", bank=pick(rng, kits), program=0)


def _on_patches(player: Player, plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> Player:
    rng = stream(recipe.seed, plan.name, "patches", player.name)
    sets = catalogue.banks_for(recipe.part, "patches", recipe.banks)
    if player.kind != "bank" or player.stem_class in ("drums", "percussion") or not sets:
        return player
    chosen = pick(rng, sets)
    known = player.program in patches.programs_of(catalogue.bank_path(root, chosen))
    return replace(player, kind="patches", bank=chosen) if chance(rng, PATCHES_SHARE) and known else player


def _on_notes(player: Player, plan: TrackPlan, recipe: CorpusRecipe) -> Player:
    """On a recorded instrument of the same family, where there is one."""
    rng = stream(recipe.seed, plan.name, "recorded notes", player.name)
    known = catalogue.banks_for(recipe.part, "notes", recipe.banks)
    fitting = [bank for bank in known if player.program in bank.programs]
    replaceable = player.kind in ("bank", "patches") and player.stem_class not in ("drums", "percussion")
    if not replaceable or not fitting or not chance(rng, recipe.notes_share):
        return player
    return replace(player, kind="notes", bank=pick(rng, fitting))


def _on_fm(player: Player, plan: TrackPlan, recipe: CorpusRecipe) -> Player:
    rng = stream(recipe.seed, plan.name, "fm", player.name)
    known = catalogue.banks_for(recipe.part, "fm", recipe.banks)
    if player.kind != "bank" or player.stem_class in ("drums", "percussion") or not known:
        return player
    return replace(player, bank=pick(rng, known)) if chance(rng, FM_SHARE) else player


def _reshaped(player: Player, plan: TrackPlan, recipe: CorpusRecipe) -> Player:
    rng = stream(recipe.seed, plan.name, "reshaped", player.name)
    shape = reshape.draw_shape(rng)
    if player.kind != "bank" or player.stem_class in ("drums", "percussion") or not chance(rng, RESHAPED_SHARE):
        return player
    return replace(player, part=reshape.reshaped(player.part, shape))


def _modelled(player: Player, plan: TrackPlan, recipe: CorpusRecipe, root: Path) -> Player:
    """On an instrument of our own, which nobody else plays; a bank's distorted guitar gets a real amplifier."""
    rng = stream(recipe.seed, plan.name, "modelled", player.name)
    if player.stem_class not in ("guitar", "piano") or player.kind == "strums" or not chance(rng, MODELLED_SHARE):
        return player
    if player.stem_class == "piano":
        electric = player.program in (4, 5) or chance(rng, 0.15)
        kinds, shares = (electric_pianos.KINDS, (2, 1, 1.3)) if electric else (pianos.KINDS, (3, 2, 0.4))
        draw = electric_pianos.draw_electric_piano if electric else pianos.draw_piano
        return replace(player, kind="modelled", model=draw(rng, pick(rng, kinds, shares)))
    amplifier = player.amplifier
    if amplifier is None and player.program in (29, 30):
        responses = list(catalogue.amplifier_responses(root, recipe.part)) if recipe.measured_responses else []
        amplifier = draw_amplifier(rng, pick(rng, ("crunch", "lead", "metal")), responses)
    kind = guitar_playing.kind_for(player.program, amplifier is not None, rng)
    return replace(player, kind="modelled", model=guitars.draw_guitar(rng, kind), amplifier=amplifier)


def _on_layers(player: Player, plan: TrackPlan, recipe: CorpusRecipe) -> Player:
    """A piano on a grand that was recorded at several strengths; its first layer stands for all."""
    rng = stream(recipe.seed, plan.name, "layers", player.name)
    layers = catalogue.banks_for(recipe.part, "layers", recipe.banks)
    if player.stem_class != "piano" or not layers or not chance(rng, LAYERS_SHARE):
        return player
    return replace(player, kind="layers", bank=layers[0], model=None)


def _singing(player: Player, plan: TrackPlan, recipe: CorpusRecipe) -> Player:
    """A speaker who sings in the place of the synthetic voice."""
    rng = stream(recipe.seed, plan.name, "singing", player.name)
    speakers = catalogue.banks_for(recipe.part, "speech", recipe.banks)
    if player.kind != "voice" or not speakers or not chance(rng, SINGING_SHARE):
        return player
    return replace(player, kind="sung", bank=pick(rng, speakers))


def _speaker(players: list[Player], plan: TrackPlan, recipe: CorpusRecipe) -> list[Player]:
    """Draw a speaker over a stretch of the song, or none."""
    rng = stream(recipe.seed, plan.name, "speech")
    speakers = catalogue.banks_for(recipe.part, "speech", recipe.banks)
    if not speakers or not chance(rng, SPEECH_SHARE):
        return []
    end_s = max(player.part.end_s for player in players)
    start_s = float(rng.uniform(0, 0.5 * end_s))
    length_s = float(rng.uniform(0.3, 1.0) * (end_s - start_s))
    part = Part("speech", 0, False, (Note(start_s, start_s + length_s, 60, 100),))
    name = f"{len(players):02d}_vocals_speech"
    return [Player(name, "vocals", part, "speech", "guest", pick(rng, speakers))]
