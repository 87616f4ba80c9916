"""Thresholds of the automatic checks; the defaults are those that docs/quality.md gives recall and false alarms for."""

from __future__ import annotations

from pydantic import Field

from splitstrument.settings import Settings


class CheckSettings(Settings):
    """Thresholds.

    Attributes
    ----------
    silence_dbfs, silence_block_s
        A block whose RMS is below this is silent (thesis 4.3.3: -50 dBFS, 10 ms).
    audible_s
        A stem with fewer audible seconds than this is inaudible.
    low_level_dbfs
        A stem whose loudest second is below this RMS is too quiet to trust its noise floor.
    dc_dbfs
        Largest mean of a channel.
    length_tolerance_s
        Differences in length up to this are padding of codecs, not a defect.
    clip_share, clip_min_samples
        See `splitstrument.curation.checks.clipping`.
    clip_seconds
        Clipped seconds from which a stem is reported.
    sum_error_db
        Error of the sum of the stems, relative to the mix, from which the mix is reported.
    bleed_quiet_db
        A frame is quiet when it is this far below the class's own active level.
    bleed_quiet_coherence, bleed_coherence
        Coherence with another class from which bleed is reported, in quiet frames and over the whole stem.
    duplicate_correlation
        Correlation of two stems' waveforms from which they are one recording.
    mislabelled_score
        Mean probability of the class that is heard, less that of the stem's own, from which it is reported.
    """

    silence_dbfs: float = Field(-50.0, ge=-120, le=0)
    silence_block_s: float = Field(0.01, ge=0.001, le=1)
    audible_s: float = Field(0.5, ge=0)
    low_level_dbfs: float = Field(-45.0, ge=-120, le=0)
    dc_dbfs: float = Field(-50.0, ge=-120, le=0)
    length_tolerance_s: float = Field(0.25, ge=0)
    clip_share: float = Field(0.35, gt=0.25, lt=1)
    clip_min_samples: int = Field(8, ge=2)
    clip_seconds: int = Field(3, ge=1)
    sum_error_db: float = Field(-20.0, ge=-120, le=0)
    bleed_quiet_db: float = Field(15.0, ge=6, le=80)
    bleed_quiet_coherence: float = Field(0.15, gt=0, lt=1)
    bleed_coherence: float = Field(0.045, gt=0, lt=1)
    duplicate_correlation: float = Field(0.9, gt=0.3, le=1)
    mislabelled_score: float = Field(0.3, ge=-1, le=1)


DEFAULTS = CheckSettings()
