"""Bits of the IAB's consent strings: base64url letters, read from left to right."""

import re
from typing import Final

from gateway.ingest.answers import Unreadable

_LETTERS: Final = {
    letter: f"{index:06b}"
    for index, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+")


class Bits:
    """Reads whole numbers from a string; reading past its end raises `Unreadable`."""

    def __init__(self, text: str) -> None:
        """Take base64url without padding."""
        if not _TEXT.fullmatch(text):
            raise Unreadable("not base64url")
        self._bits = "".join(map(_LETTERS.__getitem__, text))
        self._at = 0

    def read(self, width: int) -> int:
        """Return the next `width` bits as a number."""
        return int(self.read_raw(width), 2)

    def read_flags(self, count: int) -> tuple[bool, ...]:
        """Return the next `count` bits, one flag each."""
        return tuple(bit == "1" for bit in self.read_raw(count))

    def read_raw(self, width: int) -> str:
        """Return the next `width` bits as ones and zeros."""
        if self._at + width > len(self._bits):
            raise Unreadable("too short")
        self._at += width
        return self._bits[self._at - width : self._at]

    def read_fibonacci(self) -> int:
        """Return a Fibonacci-coded number: 1 is `11`, 2 `011`, 3 `0011`, 4 `1011`."""
        number, weight, following, last = 0, 1, 2, "0"
        for _ in range(24):
            bit = self.read_raw(1)
            if bit == last == "1":
                return number
            number += weight if bit == "1" else 0
            weight, following, last = following, weight + following, bit
        raise Unreadable("a number without end")

    def skip_to(self, position: int) -> None:
        """Continue at an absolute position."""
        self._at = position

    def end(self) -> None:
        """Raise `Unreadable` unless only padding is left: zeros that fill up a letter and a byte."""
        rest = self._bits[self._at :]
        if "1" in rest or len(rest) > _MOST_PADDING:
            raise Unreadable("too long")


_MOST_PADDING: Final = 23
