"""What the player of a page gets: its lanes, and where their sound and pictures are.

A lane is one strip on the page; it plays one or several stems. The original is all stems at once, so that it is never
heard on top of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from demonstrator.job import Job
from demonstrator.site import Site, engine_name

ORIGINAL = "mixture"
COLOURS = ("--wave-a", "--wave-c", "--wave-d", "--wave-e", "--wave-f", "--wave-g", "--wave-h")
REST_COLOUR = "--wave-b"


@dataclass(frozen=True)
class Lane:
    """One strip.

    Attributes
    ----------
    key
        Its name in the page.
    label
        What people call it.
    picture
        Address of its spectrogram.
    stems
        Which stems of the page it plays.
    peaks
        Where the view has its peaks, as a path with points.
    """

    key: str
    label: str
    picture: str
    stems: tuple[int, ...]
    peaks: str
    colour: str
    original: bool = False
    solo: bool = False


@dataclass(frozen=True)
class LaneSet:
    """The lanes of a page and the player's sources."""

    lanes: tuple[Lane, ...]
    song: str
    view: str
    stems: tuple[dict[str, Any], ...]

    @property
    def config(self) -> str:
        """What the player reads, as JSON."""
        lanes = {lane.key: asdict(lane) for lane in self.lanes}
        return json.dumps({"song": self.song, "view": self.view, "stems": self.stems, "lanes": lanes})


def song_lanes(site: Site, job: Job) -> LaneSet:
    """The lanes of one result: the original, and one for every stem."""
    folder = f"/songs/{job.id}"
    everything = tuple(range(len(job.stems)))
    original = Lane(
        ORIGINAL, "Original", f"{folder}/mixture.png", everything, "peaks.mixture", "--wave-mixture", original=True
    )
    lanes = [
        Lane(stem, site.label(job, stem), f"{folder}/{stem}.png", (index,), f"peaks.{stem}", colour_of(job, stem))
        for index, stem in enumerate(job.stems)
    ]
    return LaneSet((original, *lanes), job.song, f"{folder}/view", tuple(_source(job, stem, 1.0) for stem in job.stems))


def colour_of(job: Job, stem: str) -> str:
    """Return the style variable that a stem is drawn in."""
    return REST_COLOUR if stem == "rest" else COLOURS[job.stems.index(stem) % len(COLOURS)]


def compare_lanes(site: Site, one: Job, other: Job) -> LaneSet:
    """The lanes of two results on one song: the instruments that both have, or all of both; then the two rests."""
    common = [stem for stem in _called(site, one) if stem in _called(site, other)]
    gain = min(_gain(one), _gain(other))
    lanes: list[Lane] = []
    sources: list[dict[str, Any]] = []
    for side, job in enumerate((one, other)):
        names = _called(site, job)
        for name in common if len(common) > 1 else names:
            stem = names[name]
            lanes.append(
                Lane(
                    key=f"{'ab'[side]}-{stem}",
                    label=f"{name} ({engine_name(job)})",
                    picture=f"/songs/{job.id}/{stem}.png",
                    stems=(len(sources),),
                    peaks=f"songs.{side}.peaks.{stem}",
                    colour=REST_COLOUR if side else COLOURS[0],
                    solo=not sources,
                )
            )
            sources.append(_source(job, stem, gain / _gain(job)))
    order = sorted(lanes, key=lambda lane: (lane.key.endswith("-rest"), _rank(common, lane.label)))
    return LaneSet(tuple(order), one.song, f"/compare/{one.id}/{other.id}/view", tuple(sources))


def _called(site: Site, job: Job) -> dict[str, str]:
    """What people call each stem -> the stem."""
    return {site.label(job, stem): stem for stem in job.stems}


def _rank(common: list[str], label: str) -> int:
    name = label.partition(" (")[0]
    return common.index(name) if name in common else -1


def _source(job: Job, stem: str, scale: float) -> dict[str, Any]:
    return {"folder": f"/songs/{job.id}/sound/{stem}", "scale": scale}


def _gain(job: Job) -> float:
    """What turns the job's sound down where it passes full scale."""
    return float((job.result or {}).get("gain", 1.0))
