"""A mix of a song that was taken apart: what is heard in the practice room, or asked for, as one file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import web
from pydantic import Field

from demonstrator.handler import Handler, see_other
from demonstrator.job import Job, new_id
from demonstrator.sending import send_file
from demonstrator.site import Site, clock
from demonstrator.uploads import Form
from splitstrument.errors import SettingsError
from splitstrument.mixing.practice import PracticeSettings
from splitstrument.mixing.remix_settings import RemixSettings
from splitstrument.mixing.words import find_word
from splitstrument.settings import Settings, validate

FORMATS = ("flac", "wav", "mp3")
LOUDNESS = {
    "same": "as loud as the song",
    "off": "as it comes",
    "-14": "-14 LUFS (streaming)",
    "-23": "-23 LUFS (radio)",
}
LEAST_DB, MOST_DB = -60.0, 12.0
SHORTEST_S = 0.005  # of a part


class RoomStem(Settings):
    """How a lane of the practice room is set, besides its level."""

    pan: float = Field(0.0, ge=-1, le=1)
    quiet: tuple[tuple[float, float], ...] = Field((), max_length=100)


class RoomSettings(Settings):
    """How the practice room is set, as its page sends it along."""

    stems: dict[str, RoomStem] = Field(default_factory=dict, max_length=16)
    practice: PracticeSettings | None = None


def room_from(form: Form) -> RoomSettings:
    """How the practice room was set when a form was sent; as usual where its page says nothing.

    Raises
    ------
    SettingsError
    """
    try:
        data = json.loads(form.get("room") or "{}")
    except (ValueError, RecursionError):
        raise SettingsError("The practice room's settings cannot be read: reload the page.") from None
    return validate(data, RoomSettings, "The practice room")


def settings_from(form: Form, stems: list[str], room: RoomSettings) -> RemixSettings:
    """Settings that a form asks for.

    Raises
    ------
    SettingsError
        If a field cannot be read or is out of bounds.
    """
    mixes: dict[str, Any] = {}
    for stem in stems:
        gain_db = _gain_db(form.get(f"gain_{stem}", "0"))
        word = form.get(f"eq_{stem}")
        steps = [{"word": find_word(word[:40]).name}] if word else []
        changed = {"mute": True} if gain_db <= LEAST_DB else {"gain_db": gain_db}
        placed = room.stems.get(stem, RoomStem()).model_dump()
        mixes[stem] = {**changed, **placed, "equalizer": steps}
    loudness = form.get("loudness", "same")
    if loudness not in LOUDNESS:
        raise SettingsError(f"The loudness must be one of {', '.join(LOUDNESS)}.")
    wanted = loudness if loudness in ("same", "off") else float(loudness)
    practice = room.practice.model_dump() if room.practice else None
    return validate({"stems": mixes, "loudness": wanted, "practice": practice}, RemixSettings, "The mix")


def check_length(room: RoomSettings, job: Job, most_s: float) -> None:
    """Refuse a mix that would be too long, or of nothing.

    Raises
    ------
    SettingsError
    """
    song_s = float((job.result or {})["duration_s"])
    if room.practice and room.practice.part_s(song_s) < min(SHORTEST_S, song_s):
        raise SettingsError(
            f"The part from {room.practice.start_s:g} s on is empty: this song ends at {song_s:.1f} s; choose another."
        )
    length_s = room.practice.length_s(song_s) if room.practice else 0.0
    if length_s > most_s:
        raise SettingsError(
            f"The mix would be {length_s / 60:.1f} minutes long, and at most {most_s / 60:g} are made here: "
            "play the part less often, or faster."
        )


def _gain_db(text: str) -> float:
    text = text.strip() or "0"
    if not re.fullmatch(r"[+-]?\d{1,3}([.,]\d{1,3})?", text, re.ASCII):
        raise SettingsError("A level is a number of decibels, such as -6 or 3.5.")
    gain_db = float(text.replace(",", "."))
    if not LEAST_DB <= gain_db <= MOST_DB:
        raise SettingsError(f"A level lies between {LEAST_DB:g} dB, which leaves the stem out, and {MOST_DB:g} dB.")
    return gain_db


def add_mix(site: Site, job: Job, settings: RemixSettings, kind: str, owner: str, address: str) -> Job:
    """Queue a mix of a separation; returns the one that there is already, if there is one.

    Raises
    ------
    Busy
        If there is no room for it.
    """
    options = {"mix": settings.model_dump(mode="json"), "format": kind}
    for other in site.store.of_song(job.song):
        if other.parent == job.id and other.options == options and not other.lost:
            return other
    with site.room.place(address, 0):
        job_id = new_id()
        site.store.job_folder(job_id).mkdir()
        return site.add_job(
            job_id, kind="remix", owner=owner, address=address, title=job.title, model=job.model, origin=job.origin,
            song=job.song, parent=job.id, options=options,
        )  # fmt: skip


class Mix(Handler):
    """Ask for a mix of a song; get one that is done."""

    def GET(self, job_id: str) -> Iterator[bytes]:
        job = self.done_job(job_id)
        if "mix" not in job.files:
            raise self.refuse("404 Not Found", "This song is no mix.")
        path = self.result_file(job, job.files["mix"])
        return send_file(path, None if web.input(show=None).show else f"{job.title} - mix{path.suffix}")

    def POST(self, job_id: str) -> str:
        form, job = self.form(), self.separated_job(job_id)
        kind = form.get("format", FORMATS[0])
        if kind not in FORMATS:
            raise self.refuse("400 Bad Request", f"A mix is written as {', '.join(FORMATS)}.")
        try:
            room = room_from(form)
            check_length(room, job, self.site.settings.length_limit_s)
            settings = settings_from(form, job.stems, room)
        except SettingsError as error:
            raise self.refuse("400 Bad Request", str(error)) from None
        with self.refusals():
            mix = add_mix(self.site, job, settings, kind, self.visitor, web.ctx.address)
        raise see_other(f"/songs/{mix.id}")


def mixes_of(site: Site, job: Job, owner: str) -> list[tuple[Job, str]]:
    """A visitor's mixes of a separation, oldest first, each with what it did."""
    names = site.mixed_stems(job)
    return [
        (other, "; ".join(changes_of(other, names)))
        for other in site.store.of_song(job.song)
        if other.kind == "remix" and other.parent == job.id and other.owner == owner and not other.lost
    ]


def changes_of(job: Job, name_of: dict[str, str]) -> list[str]:
    """What a mix did to each stem, for its page."""
    said = []
    for stem, mix in job.options["mix"]["stems"].items():
        tone = "".join(f", {step['word']}" for step in mix["equalizer"])
        level = "left out" if mix["mute"] else f"{mix['gain_db']:+.1f} dB"
        said.append(f"{name_of.get(stem, stem.capitalize())}: {level}{'' if mix['mute'] else tone}")
    return said + _practice_of(job.options["mix"].get("practice"))


def _practice_of(practice: dict[str, Any] | None) -> list[str]:
    """How a mix is played, for its page."""
    if not practice:
        return []
    said = []
    if practice["start_s"] or practice["end_s"]:
        end = "the end" if practice["end_s"] is None else clock(practice["end_s"])
        said.append(f"From {clock(practice['start_s'])} to {end}")
    if practice["times"] > 1:
        said.append(f"{practice['times']} times")
    if practice["speed"] != 1:
        said.append(f"Speed {100 * practice['speed']:.0f} %")
    if practice["semitones"]:
        said.append(f"Transposed by {practice['semitones']:+.2f} semitones".replace(".00", ""))
    if practice["count_in"]:
        said.append(f"After {practice['count_in']} clicks")
    return said
