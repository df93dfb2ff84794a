"""Every form of the compressions that we ask for, never unpacked beyond the limit."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest

from presence_async.client.bodies import UnreadableError, decompressed

TEXT = b'{"status":200,"message":"OK"}'
GZIPPED = gzip.compress(TEXT, mtime=0)  # the time of day would be in test ids
LIMIT = 100_000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def zlib_with_window(data: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("GZIP", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])),
        ("gzip", b"".join(gzip.compress(bytes([c])) for c in TEXT)),
        ("gzip", gzip.compress(b"") + gzip.compress(TEXT) + gzip.compress(b"")),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", zlib_with_window(TEXT, 9)),
        ("deflate", raw_deflate(TEXT)),
        ("deflate", zlib.compress(TEXT, 0)),
        ("identity", TEXT),
    ],
    ids=[
        "gzip",
        "capitals",
        "x-gzip",
        "two members",
        "a member for each byte",
        "empty members",
        "zlib",
        "zlib with a small window",
        "raw deflate",
        "stored",
        "identity",
    ],
)
def test_what_was_compressed_as_asked_is_unpacked(coding: str, body: bytes) -> None:
    assert decompressed(body, coding, LIMIT) == TEXT


@pytest.mark.parametrize("size", [255, 256, 300, 5000])
def test_raw_deflate_of_any_text_is_not_taken_for_something_else(size: int) -> None:
    text = b'{"x":"' + bytes(range(32, 127)) * (size // 95 + 1) + b'"}'

    assert decompressed(raw_deflate(text), "deflate", LIMIT) == text


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", GZIPPED[:-1]),
        ("gzip", GZIPPED + GZIPPED[:-9]),
        ("gzip", GZIPPED + b"junk"),
        ("gzip", TEXT),
        ("gzip", raw_deflate(TEXT)),
        ("deflate", raw_deflate(TEXT)[:-2]),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", zlib.compress(TEXT) + b"junk"),
        ("deflate", TEXT),
        ("br", TEXT),
    ],
)
def test_what_is_damaged_is_unreadable(coding: str, body: bytes) -> None:
    with pytest.raises(UnreadableError):
        decompressed(body, coding, LIMIT)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(bytes(LIMIT + 1))),
        ("gzip", gzip.compress(bytes(60_000)) * 2),
        ("gzip", gzip.compress(bytes(30_000_000))),
        ("gzip", gzip.compress(bytes(1_000_000)) * 50),
        ("deflate", zlib.compress(bytes(30_000_000))),
        ("deflate", raw_deflate(bytes(30_000_000))),
    ],
    ids=["by one", "by two members", "bomb", "many bombs", "zlib", "raw"],
)
def test_no_bomb_is_unpacked(coding: str, body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match="larger"):
            decompressed(body, coding, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 10 * LIMIT
    finally:
        tracemalloc.stop()


def test_exactly_the_limit_is_read() -> None:
    halves = gzip.compress(bytes(LIMIT // 2)) * 2

    assert len(decompressed(halves, "gzip", LIMIT)) == LIMIT


def test_a_flood_of_empty_members_ends_soon() -> None:
    """Each member copies the rest, so reading them all would take minutes."""
    body = gzip.compress(b"") * 100_000
    began_s = time.process_time()

    with suppress(UnreadableError):
        decompressed(body, "gzip", len(body))

    assert time.process_time() - began_s < 5
