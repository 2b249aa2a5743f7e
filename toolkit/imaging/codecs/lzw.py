"""LZW as TIFF files have it. The libraries that know it, libtiff first of all, print to the process's stderr.

Source: TIFF 6.0, section 13.
"""

from __future__ import annotations

__all__ = ["unpack_lzw"]

import numpy as np
import numpy.typing as npt

from toolkit.counts import count_of

CLEAR, END, FIRST = 256, 257, 258
# Codes have 9 bits, and one more from the code on before which the table's entry 511, 1023, 2047 was made: so the
# places of all codes are known from one clearing of the table to the next.
_ENTRIES = np.arange(FIRST - 1, 4096)
_BITS = 9 + np.digitize(_ENTRIES, (511, 1023, 2047))
_STARTS = np.concatenate([[0], np.cumsum(_BITS)[:-1]])
# A table is cleared when it is full, after thousands of bytes; nobody waits for one that is cleared all the time.
BYTES_A_TABLE, SPARE_TABLES = 1024, 4


def unpack_lzw(packed: bytes, size_bytes: int) -> bytes:
    """Return the first `size_bytes` bytes of what is packed.

    Raises:
        ValueError: it ends before, or a code stands where it cannot.
    """
    data = np.frombuffer(packed + b"\0\0\0", np.uint8).astype(np.uint32)
    out = bytearray()
    place = 0
    for _ in range(SPARE_TABLES + size_bytes // BYTES_A_TABLE):
        codes = _read_codes(data, place, end=8 * len(packed))
        used = min((codes.index(code) for code in (CLEAR, END) if code in codes), default=len(codes))
        _append(out, codes[:used], most=size_bytes)
        if len(out) >= size_bytes:
            return bytes(out[:size_bytes])
        if used == len(codes) or codes[used] == END:
            break
        place += int(_STARTS[used] + _BITS[used])
    raise ValueError(f"its LZW data give {count_of(len(out), 'byte')}, expected {size_bytes}")


def _read_codes(data: npt.NDArray[np.uint32], place: int, *, end: int) -> list[int]:
    """Return the codes from a bit's place on, as many as there are until the table is full."""
    bits = _BITS[: np.searchsorted(_STARTS + _BITS, end - place, side="right")]
    starts = place + _STARTS[: len(bits)]
    first = starts >> 3
    window = data[first] << 16 | data[first + 1] << 8 | data[first + 2]
    codes: list[int] = (window >> (24 - (starts & 7) - bits) & ((1 << bits) - 1)).tolist()
    return codes


def _append(out: bytearray, codes: list[int], *, most: int) -> None:
    """Append what codes between two clearings stand for, until there is enough.

    Entry 258 + n of the table is what code n stood for and one byte more: the bytes from where that was written on.
    """
    begins: list[int] = []
    for code in codes:
        here = len(out)
        if here >= most:
            return
        if code < CLEAR:
            out.append(code)
        else:
            if code - FIRST >= len(begins):
                raise ValueError(f"its LZW data have code {code} before the table has")
            start, stop = begins[code - FIRST], [*begins[code - FIRST + 1 : code - FIRST + 2], here][0]
            # What the newest entry ends with is the first byte that is written now.
            out += out[start : stop + 1] if stop < here else out[start:] + out[start : start + 1]
        begins.append(here)
