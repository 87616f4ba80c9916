"""Files inside a Qt resource (``.rcc``), the format in which some free programs keep their sounds.

The layout follows Qt's rcc tool, version 1 to 3: a header, data blocks with a length each, names in UTF-16, and a tree
of nodes of 14 bytes (22 from version 2 on). Files compressed with zlib are opened, zstd is refused.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from splitstrument.errors import DatasetError

COMPRESSED_ZLIB, DIRECTORY, COMPRESSED_ZSTD = 1, 2, 4
MAX_FILES = 100_000


def read_resource(path: Path) -> dict[str, bytes]:
    """Contents of all files by their path inside.

    Raises
    ------
    DatasetError
        If it is no Qt resource, is cut off, or holds something in another compression.
    """
    data = path.read_bytes()
    try:
        magic, version, tree, blobs, names = struct.unpack_from(">4sIIII", data)
        if magic != b"qres" or not 1 <= version <= 3:
            raise DatasetError(f"{path} is no Qt resource: expected a file that begins with 'qres' and a version to 3.")
        size = 22 if version > 1 else 14
        return _Reader(data, tree, blobs, names, size).files()
    except (struct.error, zlib.error, UnicodeDecodeError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged ({error}): get it again.") from None


class _Reader:
    def __init__(self, data: bytes, tree: int, blobs: int, names: int, node_size: int) -> None:
        self.data, self.tree, self.blobs, self.names, self.node_size = data, tree, blobs, names, node_size

    def files(self, node: int = 0, folder: str = "") -> dict[str, bytes]:
        """Files below a node of the tree."""
        found: dict[str, bytes] = {}
        count, first = struct.unpack_from(">II", self.data, self.tree + node * self.node_size + 6)
        for child in range(first, first + min(count, MAX_FILES)):
            place = self.tree + child * self.node_size
            name, flags = struct.unpack_from(">IH", self.data, place)
            path = f"{folder}/{self._name(name)}".lstrip("/")
            if flags & DIRECTORY:
                found |= self.files(child, path)
            else:
                found[path] = self._content(struct.unpack_from(">I", self.data, place + 10)[0], flags, path)
        return found

    def _name(self, offset: int) -> str:
        (length,) = struct.unpack_from(">H", self.data, self.names + offset)
        start = self.names + offset + 6
        return self.data[start : start + 2 * length].decode("utf-16-be")

    def _content(self, offset: int, flags: int, path: str) -> bytes:
        (length,) = struct.unpack_from(">I", self.data, self.blobs + offset)
        content = self.data[self.blobs + offset + 4 : self.blobs + offset + 4 + length]
        if flags & COMPRESSED_ZSTD:
            raise DatasetError(f"{path} is compressed with zstd, which is not read here: unpack it with Qt's rcc.")
        return zlib.decompress(content[4:]) if flags & COMPRESSED_ZLIB else content
