"""A song as it is passed around: encoded with losses and decoded again, its stems still adding up to it.

Encoders hear the mixture, never its stems, so the mixture makes the round trip. What that changed is shared out among
the stems: in each cell of the spectrogram in proportion to their power. A stem that is alone there loses what the
encoder threw away; where several sound, they share the noise as they share the sound. The sum stays exact, and no
stem is asked to hold frequencies that the decoded song no longer has.
"""

from __future__ import annotations

import io

import numpy as np

from splitstrument import audio as audiofile
from splitstrument.audio import Audio
from splitstrument.errors import AudioFileError

N_FFT, HOP = 1024, 256
EPSILON = 1e-12
ENCODE_HZ = 44_100  # songs are distributed at this rate, whatever the corpus's own is
# format, libsndfile's subtype, range of its compression level: about 170 to 57 and 130 to 65 kbit/s of one channel
CODECS = (("MP3", "MPEG_LAYER_III", (0.55, 0.9)), ("OGG", "VORBIS", (0.2, 0.9)))


def round_trip(mixture: Audio, rate_hz: int, codec: int, level: float) -> Audio:
    """Encode and decode; as long as before, and not delayed (libsndfile leaves out what encoders put in front).

    Parameters
    ----------
    codec
        Index of `CODECS`.
    level
        libsndfile's compression level, 0 (best) to 1 (smallest).

    Raises
    ------
    AudioFileError
        If libsndfile has no such encoder.
    """
    import soundfile

    name, subtype, _ = CODECS[codec]
    peak = max(1.0, float(np.abs(mixture).max(initial=0)))
    sound = audiofile.resample(mixture / np.float32(peak), rate_hz, ENCODE_HZ)
    buffer = io.BytesIO()
    how = {"format": name, "subtype": subtype, "compression_level": level}
    how |= {"bitrate_mode": "CONSTANT"} if name == "MP3" else {}
    try:
        with soundfile.SoundFile(buffer, "w", ENCODE_HZ, sound.shape[1], **how) as file:
            for start in range(0, len(sound), ENCODE_HZ):  # the OGG encoder dies of minutes written at once
                file.write(sound[start : start + ENCODE_HZ])
    except (soundfile.LibsndfileError, ValueError) as error:
        raise AudioFileError(f"Libsndfile cannot write {name} here ({error}): install a newer one.") from None
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32", always_2d=True)
    back = audiofile.resample(audiofile.fit_length(decoded, len(sound)), ENCODE_HZ, rate_hz)
    return audiofile.fit_length(back, len(mixture)) * np.float32(peak)


def encoded(stems: list[Audio], rate_hz: int, rng: np.random.Generator) -> list[Audio]:
    """Stems whose sum is their former sum after a round trip through a drawn codec."""
    codec = int(rng.integers(len(CODECS)))
    level = float(rng.uniform(*CODECS[codec][2]))
    mixture: Audio = np.sum(stems, axis=0, dtype=np.float32)
    return share_out(stems, round_trip(mixture, rate_hz, codec, level) - mixture)


def share_out(stems: list[Audio], difference: Audio) -> list[Audio]:
    """Add `difference` to the stems, in each cell of the spectrogram in proportion to their power.

    Examples
    --------
    >>> np.allclose(sum(share_out(stems, difference)), sum(stems) + difference, atol=1e-6)
    True
    """
    from scipy.signal import istft, stft

    def spectrum(sound: Audio) -> np.ndarray:
        return stft(sound.T, nperseg=N_FFT, noverlap=N_FFT - HOP)[2].astype(np.complex64)

    powers = [np.square(np.abs(spectrum(stem))) + EPSILON for stem in stems]
    wanted = spectrum(difference) / np.sum(powers, axis=0)
    changed = []
    for stem, power in zip(stems[:-1], powers, strict=False):
        share = istft(wanted * power, nperseg=N_FFT, noverlap=N_FFT - HOP)[1].T[: len(stem)]
        changed.append(stem + share.astype(np.float32))
    left = np.sum(stems, axis=0, dtype=np.float32) + difference - np.sum(changed, axis=0, dtype=np.float32)
    return [*changed, left.astype(np.float32)]
