"""The metrics: their keys, labels and directions."""

from __future__ import annotations

SHARE_MEASURES = ("sdr", "si_sdr", "usdr", "sdr_v4")


SOURCES = ("instrument", "rest")


MEASURES = {
    "sdr": "SDR, BSS Eval v3 on the whole track (the thesis's)",
    "sir": "SIR, BSS Eval v3",
    "sar": "SAR, BSS Eval v3",
    "si_sdr": "scale-invariant SDR",
    "sd_sdr": "scale-dependent SDR",
    "usdr": "SDR without distortion filter (MDX challenge)",
    "sdr_v4": "SDR, BSS Eval v4, median over seconds",
    "isr_v4": "ISR, BSS Eval v4",
    "sir_v4": "SIR, BSS Eval v4",
    "sar_v4": "SAR, BSS Eval v4",
    "lsd": "log-spectral distance (less is better)",
    "leakage_db": "level relative to the mixture where the reference is silent (less is better)",
    "silent_s": "seconds in which the reference is silent",
    "silent_share": "share of the track in which the reference is silent",
}


LESS_IS_BETTER = ("lsd", "leakage_db")


MAIN_MEASURES = ("sdr", "sir", "sar", "si_sdr", "usdr", "sdr_v4", "lsd", "leakage_db")


HEADS = {
    "sdr": "SDR",
    "sir": "SIR",
    "sar": "SAR",
    "si_sdr": "SI-SDR",
    "sd_sdr": "SD-SDR",
    "usdr": "uSDR",
    "sdr_v4": "SDR v4",
    "isr_v4": "ISR v4",
    "sir_v4": "SIR v4",
    "sar_v4": "SAR v4",
    "lsd": "LSD",
    "leakage_db": "leakage",
}


NOTES = (
    "SDR, SIR, SAR: BSS Eval v3 on whole tracks (the thesis's metric); v4: museval's, median over seconds; uSDR: MDX "
    "challenge; LSD: log-spectral distance; leakage: level relative to the mixture where the reference is silent. "
    "LSD and leakage: less is better."
)


def better(measure: str, a: float, b: float) -> bool:
    """Tell whether value `a` of a measure is better than `b`."""
    return a < b if measure in LESS_IS_BETTER else a > b
