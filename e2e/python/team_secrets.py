"""Secrets that must be nowhere, and the search for them, also in the codings in which one might repeat them."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable

# So many characters in a row say enough; the first and last four of a token may be shown.
PIECE = 12


def codings(secret: str) -> dict[str, tuple[bytes, int]]:
    """The secret in each coding, and in how many bytes it says enough. What is around Base64 changes its ends, which are
    left out."""
    raw = secret.encode()
    found = {"plain": (raw, PIECE), "backwards": (raw[::-1], PIECE)}
    found |= {"hex": (raw.hex().encode(), 2 * PIECE), "HEX": (raw.hex().upper().encode(), 2 * PIECE)}
    found["escaped"] = "".join(f"\\u{byte:04x}" for byte in raw).encode(), 6 * PIECE
    found["percent"] = "".join(f"%{byte:02X}" for byte in raw).encode(), 3 * PIECE
    for before in range(3):
        coded = base64.b64encode(b"x" * before + raw).rstrip(b"=")
        found[f"Base64+{before}"] = coded[4 if before else 0 : -2], PIECE * 4 // 3
    return found


class Secrets:
    """Secrets by what they are called, such as `token of u7`."""

    def __init__(self) -> None:
        self.pieces: dict[int, dict[bytes, set[str]]] = defaultdict(lambda: defaultdict(set))

    def add(self, name: str, secret: str) -> None:
        for coding, (coded, size) in codings(secret).items():
            for start in range(0, len(coded) - size + 1, size // PIECE):
                self.pieces[size][coded[start : start + size]].add(f"{name} ({coding})")

    def found_in(self, data: bytes) -> set[str]:
        """The names of those that are in there."""
        found = (pieces[piece] for size, pieces in self.pieces.items() for piece in within(data, size, pieces))
        return set().union(*found)

    def faults(self, outputs: Iterable[tuple[str, bytes]]) -> list[str]:
        """What is where it must not be."""
        found = defaultdict(set)
        for where, data in outputs:
            found[where] |= self.found_in(data)
        return [f"{where}: {len(names)} secrets, such as {min(names)}" for where, names in found.items() if names]


def within(data: bytes, size: int, pieces: dict[bytes, set[str]]) -> set[bytes]:
    """Those of the pieces that are in there."""
    return {data[start : start + size] for start in range(len(data) - size + 1)} & pieces.keys()
