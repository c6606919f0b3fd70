"""The wire format of protobuf, read field by field: memory is taken for what is asked for only.

Google's parser makes an object of every message, so three bytes of a file become hundreds.
"""

from collections.abc import Iterator

import numpy as np

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_WIDTHS = {_EIGHT: 8, _FOUR: 4}
_MOST_FIELDS = 100_000  # of all messages; the largest networks have some thousands

Value = int | memoryview


class WireError(ValueError):
    """What is read is no message of protobuf, or one with fields without end."""


class Reader:
    """A reader of messages that counts the fields of all of them."""

    def __init__(self):
        self._fields = 0

    def fields(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        """Yield number and value of each field: an integer, or bytes.

        Numbers of fixed width that follow each other in a field of one number, as a list that is
        not packed, come as one piece of bytes. Raises WireError where the message is damaged.
        """
        place = 0
        while place < len(message):
            self._count()
            tag, start = varint(message, place)
            number, kind = tag >> 3, tag & 7
            if not number:
                raise WireError("a field has no number")
            if kind == _VARINT:
                value, place = varint(message, start)
            elif kind == _LENGTH:
                size, start = varint(message, start)
                value, place = _cut(message, start, size), start + size
            elif kind in _WIDTHS:
                value, place = _run(message, place, start, _WIDTHS[kind])
            else:
                raise WireError(f"a field is of kind {kind}")
            yield number, value

    def varints(self, packed: memoryview) -> Iterator[int]:
        """Yield the integers of a packed list; raises WireError where it is damaged."""
        place = 0
        while place < len(packed):
            self._count()
            value, place = varint(packed, place)
            yield value

    def _count(self) -> None:
        self._fields += 1
        if self._fields > _MOST_FIELDS:
            raise WireError(f"there are more than {_MOST_FIELDS:,} fields")


def signed(number: int) -> int:
    """Return the number below zero that a varint of 64 bits may stand for."""
    return number - (1 << 64) if number >> 63 else number


def varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read an integer of seven bits a byte; return it and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number & (1 << 64) - 1, place
    raise WireError("a number does not end")


def _cut(message: memoryview, start: int, size: int) -> memoryview:
    if start + size > len(message):
        raise WireError("a field is longer than what it is in")
    return message[start : start + size]


def _run(message: memoryview, place: int, start: int, width: int) -> tuple[memoryview, int]:
    """Read numbers of `width` bytes, each after the same tag; return all and the place after."""
    tag = bytes(message[place:start])
    step = len(tag) + width
    value, end = _cut(message, start, width), start + width
    if bytes(message[end : end + len(tag)]) != tag:
        return value, end
    count = _repeats(message[place:], tag, step)
    rows = np.frombuffer(message[place : place + count * step], np.uint8).reshape(count, step)
    return memoryview(rows[:, len(tag) :].tobytes()), place + count * step


def _repeats(message: memoryview, tag: bytes, step: int) -> int:
    """Count the steps that begin with the tag, in windows that double: never far past the last."""
    count, window, whole = 0, 64, len(message) // step
    while count < whole:
        size = min(window, whole - count)
        piece = np.frombuffer(message[count * step : (count + size) * step], np.uint8)
        other = (piece.reshape(size, step)[:, : len(tag)] != list(tag)).any(axis=1)
        if other.any():
            return count + int(other.argmax())
        count, window = count + size, 2 * window
    return count
