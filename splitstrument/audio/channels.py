"""Orders of channels: everything here has WAV's, which Vorbis and Opus have not; and masks, which name loudspeakers."""

from __future__ import annotations

from collections.abc import Iterable

# Vorbis I, section 4.3.9 (Opus: RFC 7845, 5.1.1.2): the channel of the file that comes first, second, ... in WAV order
_FROM_VORBIS = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}
DEFAULT_MASKS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
# bits of a mask, in WAV order, by FFmpeg's names
_ALL = "FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC TBR"
_NAMES = _ALL.split()


def from_vorbis(n_channels: int) -> list[int] | None:
    """Indices that bring Vorbis's order into WAV's; None where both are the same."""
    order = _FROM_VORBIS.get(n_channels)
    return list(order) if order else None


def to_vorbis(n_channels: int) -> list[int] | None:
    """Indices that bring WAV's order into Vorbis's; None where both are the same."""
    order = _FROM_VORBIS.get(n_channels)
    return [order.index(channel) for channel in range(n_channels)] if order else None


def mask_of_names(names: Iterable[str]) -> int | None:
    """The mask of channels in WAV order; None where one has no place in a mask, or they come in another order."""
    bits = [_NAMES.index(name) if name in _NAMES else -1 for name in names]
    if -1 in bits or bits != sorted(set(bits)):
        return None
    return sum(1 << bit for bit in bits)


def mask_of_wav(head: bytes) -> int | None:
    """The mask of a WAV or RF64 file by its first bytes; None where it has none."""
    start = head.find(b"fmt ")
    if head[:4] not in (b"RIFF", b"RF64") or start < 0 or head[start + 8 : start + 10] != b"\xfe\xff":
        return None
    return int.from_bytes(head[start + 28 : start + 32], "little") or None
