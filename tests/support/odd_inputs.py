"""Songs as people have them: every container with a header that lies, streams that were joined, names that mislead.

Each input is made from real files that soundfile and PyAV write. `INPUTS` maps a name to an `Odd`: what it is, how it
has to come out, and how many samples at which rate.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 44100
EXACT, WARNED, REFUSED = "exact", "warned", "refused"


@dataclass(frozen=True)
class Odd:
    """An odd input.

    Attributes
    ----------
    file
        Its name, which need not say what it is.
    what
        What is odd, as the table in the documentation says.
    outcome
        ``exact``, ``warned`` or ``refused``.
    make
        Gives its bytes.
    n_samples, tolerance
        How long it is, and by how much an encoder may have made it longer or shorter.
    says
        What the warning or the refusal says.
    """

    file: str
    what: str
    outcome: str
    make: Callable[[], bytes]
    n_samples: int = RATE
    tolerance: int = 0
    says: str = ""
    rate: int = RATE
    needs_media: bool = False


def sound(n_samples: int = RATE, n_channels: int = 2, rate: int = RATE) -> np.ndarray:
    """Plucked notes, a different one on each channel."""
    t = np.arange(n_samples)[:, None] / rate
    notes = 220 * 2 ** (np.arange(n_channels) * 5 / 12)
    noise = np.random.default_rng(1).standard_normal((n_samples, n_channels)) / 50
    return (0.3 * np.sin(2 * np.pi * notes * t) * np.exp(-3 * (t % 0.25)) + noise).astype(np.float32)


def coded(format: str, subtype: str | None = None, rate: int = RATE, n_channels: int = 2, seconds: float = 1) -> bytes:
    """A file that libsndfile writes."""
    file = io.BytesIO()
    samples = sound(round(seconds * rate), n_channels, rate)
    soundfile.write(file, samples, rate, subtype, format=format)
    return file.getvalue()


def media(
    container: str,
    codec: str,
    rate: int = RATE,
    layout: str = "stereo",
    sample: str | None = None,
    seconds: float = 1,
    **options,
):
    """A file that FFmpeg's libraries write."""
    import av

    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - by name: some containers are opened again
    with file, av.open(file.name, "w", container, options=options) as output:
        output.metadata.update({"title": "Lied", "artist": "Jemand", "album": "Platte", "date": "1999", "track": "3"})
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        if sample:
            stream.codec_context.format = sample
        resampler = av.AudioResampler(
            stream.codec_context.format, layout, rate, stream.codec_context.frame_size or 1024
        )
        n_channels = av.AudioLayout(layout).nb_channels
        frame = av.AudioFrame.from_ndarray(sound(round(seconds * rate), n_channels, rate).reshape(1, -1), "flt", layout)
        frame.sample_rate, frame.pts = rate, 0
        for part in (frame, None):
            for ready in resampler.resample(part):
                output.mux(stream.encode(ready))
        output.mux(stream.encode(None))
        output.close()
        return Path(file.name).read_bytes()


def patched(data: bytes, offset: int, value: int, form: str) -> bytes:
    """The same file with another number in it."""
    field = struct.pack(form, value)
    return data[:offset] + field + data[offset + len(field) :]


def wav(value: int | None = None, **more) -> bytes:
    """A WAV file; `value` is what its header says of the size of the sound."""
    data = coded("WAV", "PCM_16", **more)
    return data if value is None else patched(data, 40, value, "<I")


def aiff(stated: int, frames: int) -> bytes:
    """An AIFF file with what its header says of the sound, in bytes and in frames."""
    data = coded("AIFF", "PCM_16")
    common, chunk = data.index(b"COMM"), data.index(b"SSND")
    return patched(patched(data, chunk + 4, stated, ">I"), common + 10, frames, ">I")


def caf(stated: int) -> bytes:
    """A CAF file with what its header says of the sound."""
    data = coded("CAF", "PCM_16")
    return patched(data, data.index(b"data") + 4, stated, ">q")


def w64(stated: int) -> bytes:
    """A W64 file with what its header says of the sound."""
    data = coded("W64", "PCM_16")
    return patched(data, data.index(b"data\xf3\xac\xd3\x11") + 16, stated, "<Q")


def rf64(stated: int) -> bytes:
    """An RF64 file with what its header says of the sound."""
    return patched(coded("RF64", "PCM_16"), 28, stated, "<Q")


def flac(total: int | None = None, **more) -> bytes:
    """A FLAC file with what its header says of the number of samples."""
    data = coded("FLAC", "PCM_16", **more)
    if total is None:
        return data
    return patched(data, 18, struct.unpack_from(">Q", data, 18)[0] >> 36 << 36 | total, ">Q")


def mp3(n_frames: int | None = None, **more) -> bytes:
    """An MP3 file with what its first frame says of the number of the others."""
    data = coded("MP3", **more)
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    return data if n_frames is None else patched(data, tag + 8, n_frames, ">I")


def mp3_without_tag() -> bytes:
    """An MP3 file whose first frame is sound."""
    data = mp3()
    return data[data.index(b"\xff\xfb", 4) :]


def ogg(position: int | None = None, subtype: str = "VORBIS", **more) -> bytes:
    """An Ogg file with what its last page says of the position."""
    data = coded("OGG", subtype, **more)
    if position is None:
        return data
    from splitstrument.audio.ogg import crc

    start = data.rindex(b"OggS")
    page = bytearray(data[start:])
    page[6:14], page[22:26] = struct.pack("<q", position), bytes(4)
    page[22:26] = struct.pack("<I", crc(page))
    return data[:start] + bytes(page)


def _wrong_rate(rate: int) -> bytes:
    return patched(coded("WAV", "PCM_16"), 24, rate, "<I")


def _not_a_number() -> bytes:
    file, samples = io.BytesIO(), sound()
    samples[100] = np.nan
    soundfile.write(file, samples, RATE, "FLOAT", format="WAV")
    return file.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
ID3 = b"ID3\x04\0\0\0\0\x02\x00" + bytes(256)
ID3V1 = b"TAG" + b"Lied".ljust(125, b"\0")
HALF, WHOLE, DOUBLE = 2 * RATE, 4 * RATE, 8 * RATE  # bytes of the second of sound
MP3_FRAMES, PADDED = 40, 2400
NEVER, SHORT, CUT, LOST = "states no length", "shorter length", "is cut off", "may be cut off"
TWO_RATES = "44100 Hz with 2 channels to 48000 Hz with 2 channels at 1.0"

INPUTS = {
    # WAV and its kin: sizes
    "wav-0": Odd("a.wav", "WAV: sizes never written", WARNED, lambda: wav(0), says=NEVER),
    "wav-one": Odd("a.wav", "WAV: header says one frame", WARNED, lambda: wav(4), says=SHORT),
    "wav-half": Odd("a.wav", "WAV: header says half", WARNED, lambda: wav(HALF), says=SHORT),
    "wav-double": Odd("a.wav", "WAV: header says double", REFUSED, lambda: wav(DOUBLE), says=CUT),
    "wav-stream": Odd("a.wav", "WAV from a pipe: size 2^32-1", EXACT, lambda: wav(2**32 - 1)),
    "wav-stream31": Odd("a.wav", "WAV from a pipe: size 2^31-1", EXACT, lambda: wav(2**31 - 1)),
    "wav-cut": Odd("a.wav", "WAV: download that broke off", REFUSED, lambda: wav()[:100_000], says=CUT),
    "wav-empty": Odd("a.wav", "WAV: header without sound", REFUSED, lambda: wav(0)[:44], says="no samples"),
    "wav-id3": Odd("a.wav", "WAV: ID3 tag behind the sound", EXACT, lambda: wav() + ID3),
    "wav-joined": Odd("a.wav", "WAV: two joined (`cat a b`)", EXACT, lambda: wav() * 2, 2 * RATE),
    "wav-rates": Odd("a.wav", "WAV: two rates joined", REFUSED, lambda: wav() + wav(rate=48000), says=TWO_RATES),
    "wav-rate-0": Odd("a.wav", "WAV: rate 0", REFUSED, lambda: _wrong_rate(0), says="a.wav"),
    "wav-nan": Odd("a.wav", "WAV: values that are no numbers", REFUSED, _not_a_number, says="not numbers"),
    "wav-51": Odd("a.wav", "WAV: 5.1 channels", EXACT, lambda: coded("WAVEX", "PCM_24", n_channels=6)),
    "wav-gsm": Odd("a.wav", "WAV: GSM", EXACT, lambda: coded("WAV", "GSM610", n_channels=1), tolerance=320),
    "wav-nms": Odd("a.wav", "WAV: NMS ADPCM", EXACT, lambda: coded("WAV", "NMS_ADPCM_32", 44100, 1), tolerance=320),
    "wav-ima": Odd("a.wav", "WAV: IMA ADPCM", EXACT, lambda: coded("WAV", "IMA_ADPCM"), tolerance=2100),
    "wav-mp3": Odd("a.wav", "WAV: MP3 inside", EXACT, lambda: media("wav", "libmp3lame"), RATE, PADDED, "", RATE, True),
    "wav-as-mp3": Odd("a.mp3", "WAV named .mp3", EXACT, wav),
    "rf64-0": Odd("a.rf64", "RF64: sizes never written", WARNED, lambda: rf64(0), says=NEVER),
    "rf64-half": Odd("a.rf64", "RF64: header says half", WARNED, lambda: rf64(HALF), says=SHORT),
    "w64-0": Odd("a.w64", "W64: sizes never written", WARNED, lambda: w64(0), says=NEVER),
    "w64-half": Odd("a.w64", "W64: header says half", WARNED, lambda: w64(HALF + 24), says=SHORT),
    "w64-double": Odd("a.w64", "W64: header says double", REFUSED, lambda: w64(DOUBLE + 24), says=CUT),
    "aiff-0": Odd("a.aiff", "AIFF: sizes never written", WARNED, lambda: aiff(0, 0), says=NEVER),
    "aiff-half": Odd("a.aiff", "AIFF: header says half", WARNED, lambda: aiff(HALF + 8, RATE // 2), says=SHORT),
    "aiff-double": Odd("a.aiff", "AIFF: header says double", REFUSED, lambda: aiff(DOUBLE + 8, 2 * RATE), says=CUT),
    "au-0": Odd("a.au", "AU: size never written", WARNED, lambda: patched(coded("AU"), 8, 0, ">I"), says=NEVER),
    "au-stream": Odd("a.au", "AU from a pipe", EXACT, lambda: patched(coded("AU"), 8, 2**32 - 1, ">I")),
    "au-half": Odd("a.au", "AU: header says half", WARNED, lambda: patched(coded("AU"), 8, HALF, ">I"), says=SHORT),
    "au-g721": Odd("a.au", "AU: G.721", EXACT, lambda: coded("AU", "G721_32", n_channels=1), tolerance=320),
    "caf-stream": Odd("a.caf", "CAF from a pipe: size -1", EXACT, lambda: caf(-1)),
    "caf-0": Odd("a.caf", "CAF: sizes never written", WARNED, lambda: caf(0), says=NEVER),
    # FLAC
    "flac-0": Odd("a.flac", "FLAC from a pipe: length 0", EXACT, lambda: flac(0)),
    "flac-one": Odd("a.flac", "FLAC: header says one sample", EXACT, lambda: flac(1)),
    "flac-half": Odd("a.flac", "FLAC: header says half", EXACT, lambda: flac(RATE // 2)),
    "flac-double": Odd("a.flac", "FLAC: header says double", WARNED, lambda: flac(2 * RATE), says=LOST),
    "flac-max": Odd("a.flac", "FLAC: header says 2^36-1", EXACT, lambda: flac(2**36 - 1)),
    "flac-cut": Odd("a.flac", "FLAC: download that broke off", REFUSED, lambda: flac()[:40_000], says=CUT),
    "flac-joined": Odd("a.flac", "FLAC: two joined", EXACT, lambda: flac() * 2, 2 * RATE),
    "flac-mono": Odd("a.flac", "FLAC: stereo, then mono", REFUSED, lambda: flac() + flac(n_channels=1), says="1.00 s"),
    "flac-id3": Odd("a.flac", "FLAC: ID3 tag in front", EXACT, lambda: ID3 + flac()),
    "flac-id3v1": Odd("a.flac", "FLAC: ID3v1 tag behind", EXACT, lambda: flac() + ID3V1),
    # MP3
    "mp3-0": Odd("a.mp3", "MP3: Xing says 0 frames", EXACT, lambda: mp3(0)),
    "mp3-one": Odd("a.mp3", "MP3: Xing says one frame", EXACT, lambda: mp3(1)),
    "mp3-half": Odd("a.mp3", "MP3: Xing says half", EXACT, lambda: mp3(MP3_FRAMES // 2)),
    "mp3-double": Odd("a.mp3", "MP3: Xing says double", WARNED, lambda: mp3(2 * MP3_FRAMES), says=LOST),
    "mp3-max": Odd("a.mp3", "MP3: Xing says 2^32-1", WARNED, lambda: mp3(2**32 - 1), says=LOST),
    "mp3-cut": Odd("a.mp3", "MP3: download that broke off", WARNED, lambda: mp3()[:8000], 20000, 10000, LOST),
    "mp3-joined": Odd("a.mp3", "MP3: two joined", EXACT, lambda: mp3() * 2, 2 * RATE),
    "mp3-rates": Odd("a.mp3", "MP3: two rates joined", REFUSED, lambda: mp3() + mp3(rate=48000), says=TWO_RATES),
    "mp3-bare": Odd("a.mp3", "MP3: no Xing frame", EXACT, mp3_without_tag, tolerance=PADDED),
    "mp3-bare-joined": Odd("a.mp3", "MP3: joined, no Xing", EXACT, lambda: mp3_without_tag() * 2, 2 * RATE, 2 * PADDED),
    "mp3-garbage": Odd("a.mp3", "MP3: garbage in front", EXACT, lambda: bytes(1000) + mp3(), tolerance=PADDED),
    "mp3-id3": Odd("a.mp3", "MP3: tags in front and behind", EXACT, lambda: ID3 + mp3() + ID3V1),
    "html-as-mp3": Odd("a.mp3", "a web page named .mp3", REFUSED, lambda: b"<html><body>404" * 99, says="it is text"),
    "m3u-as-mp3": Odd("a.mp3", "a playlist named .mp3", REFUSED, lambda: b"#EXTM3U\n/etc/passwd\n", says="it is text"),
    "noise-as-mp3": Odd("a.mp3", "noise named .mp3", REFUSED, lambda: NOISE, says="cannot be read as audio"),
    "empty": Odd("a.mp3", "a file of 0 bytes", REFUSED, bytes, says="is empty"),
    # Ogg
    "ogg-chained": Odd("a.ogg", "Ogg Vorbis: chained (radio)", EXACT, lambda: ogg() * 2, 2 * RATE),
    "ogg-rates": Odd("a.ogg", "Ogg: rates chained", REFUSED, lambda: ogg() + ogg(rate=48000), says=TWO_RATES),
    "ogg-max": Odd("a.ogg", "Ogg: last position 2^63-1", EXACT, lambda: ogg(2**63 - 1), tolerance=2048),
    "ogg-0": Odd("a.ogg", "Ogg: last position 0", EXACT, lambda: ogg(0), tolerance=2048),
    "ogg-unknown": Odd("a.ogg", "Ogg: last position -1", EXACT, lambda: ogg(-1), tolerance=2048),
    "ogg-51": Odd("a.ogg", "Ogg Vorbis: 5.1 channels", EXACT, lambda: coded("OGG", "VORBIS", n_channels=6)),
    "ogg-cut": Odd("a.ogg", "Ogg: download that broke off", WARNED, lambda: ogg()[:-900], 40000, 6000, LOST),
    "opus-chained": Odd(
        "a.opus", "Opus: chained", EXACT, lambda: ogg(subtype="OPUS", rate=48000) * 2, 96000, 2, "", 48000
    ),
}  # fmt: skip


def _media(name: str, file: str, what: str, make: Callable[[], bytes], **more) -> None:
    """Add an input that needs PyAV."""
    INPUTS[name] = Odd(file, what, **{"outcome": EXACT, "tolerance": PADDED, **more}, make=make, needs_media=True)


_media("m4a", "a.m4a", "M4A (AAC) as phones write it", lambda: media("ipod", "aac"))
_media("m4a-fast", "a.m4a", "M4A with its index in front", lambda: media("ipod", "aac", movflags="faststart"))
_media("m4a-joined", "a.m4a", "M4A: two joined", lambda: media("ipod", "aac") * 2, n_samples=2 * RATE, tolerance=4800)
_media(
    "m4a-cut", "a.m4a", "M4A: download that broke off", lambda: media("ipod", "alac", movflags="faststart")[:60_000],
    outcome=REFUSED, says=CUT,
)  # fmt: skip
_media(
    "m4a-no-index", "a.m4a", "M4A: broken off before its index", lambda: media("ipod", "aac")[:8000],
    outcome=REFUSED, says="cannot be read",
)  # fmt: skip
_media("mp4-fragments", "a.mp4", "MP4 in fragments", lambda: media("mp4", "aac", movflags="frag_keyframe+empty_moov"))
_media("alac", "a.m4a", "ALAC, 16 bits", lambda: media("ipod", "alac", sample="s16p"), tolerance=0)
_media("alac-24", "a.m4a", "ALAC, 24 bits", lambda: media("ipod", "alac", sample="s32p"), tolerance=0)
_media("mov", "a.mov", "MOV with 24-bit PCM", lambda: media("mov", "pcm_s24le"), tolerance=0)
_media("aac", "a.aac", "raw AAC (ADTS)", lambda: media("adts", "aac"))
_media("aac-as-mp3", "a.mp3", "AAC named .mp3", lambda: media("adts", "aac"))
_media("m4a-as-wav", "a.wav", "M4A named .wav", lambda: media("ipod", "aac"))
_media("wma", "a.wma", "WMA", lambda: media("asf", "wmav2"), tolerance=4200)
_media("mkv", "a.mkv", "MKV with FLAC", lambda: media("matroska", "flac"), tolerance=0)
_media("mkv-joined", "a.mkv", "MKV: two joined", lambda: media("matroska", "flac") * 2, n_samples=2 * RATE, tolerance=0)
_media(
    "webm", "a.webm", "WebM with Opus", lambda: media("webm", "libopus", 48000), n_samples=48000, rate=48000
)  # fmt: skip
_media("ac3", "a.ac3", "AC-3", lambda: media("ac3", "ac3"))
_media("wavpack", "a.wv", "WavPack", lambda: media("wv", "wavpack"), tolerance=0)
_media("flac-in-ogg", "a.oga", "FLAC in Ogg", lambda: media("ogg", "flac"), tolerance=0)
_media(
    "opus-51", "a.opus", "Opus: 5.1 channels",
    lambda: media("ogg", "libopus", 48000, "5.1"), n_samples=48000, rate=48000,
)  # fmt: skip
