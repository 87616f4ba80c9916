"""The track index of rendered stems, so that every dataset tool reads them as any organised dataset."""

from __future__ import annotations

from pathlib import Path

from splitstrument import audio
from splitstrument.corpus.passport import Record, licences_of
from splitstrument.datasets.index import Index, StemEntry, TrackEntry, write_index


def write_stem_index(records: list[Record], output: Path) -> None:
    """Write ``stems/index.yaml`` for the tracks whose stems were kept."""
    tracks = {}
    for record in records:
        files = [path for path in record["files"] if path.startswith("stems/")]
        if not files:
            continue
        stems = tuple(_entry(output, path, record["files"][path]) for path in files)
        licence = " + ".join(sorted(set(licences_of([record]).values())))
        same = _same_song(record, records)
        tracks[record["name"]] = TrackEntry(
            source="rendered",
            licence=licence,
            title=record["title"],
            split=record["part"],
            same_song_as=same,
            stems=stems,
        )
    if tracks:
        write_index(output / "stems", Index(tracks=tracks))


def _entry(output: Path, path: str, digest: str) -> StemEntry:
    info = audio.probe(output / path)
    _, _, stem_class, name = path.split("/")
    shape = {"n_samples": info.n_samples, "n_channels": info.n_channels, "sample_rate_hz": info.sample_rate_hz}
    return StemEntry(file=f"{stem_class}/{name}", stem_class=stem_class, sha256=digest, **shape)


def _same_song(record: Record, records: list[Record]) -> tuple[str, ...]:
    """Other renderings of the same song or groove file, which a split must not tear apart."""
    others = (other for other in records if other is not record)
    key = ("source", "title")
    return tuple(other["name"] for other in others if all(other[k] == record[k] for k in key))
