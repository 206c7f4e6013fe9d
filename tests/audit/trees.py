"""Trees as RFC 6962 defines them and as RFC 9162 verifies them, slowly, without the gateway's code; and notes."""

import base64
import hashlib
from functools import cache

ORIGIN = "gateway.test/log"


def leaf(index: int) -> bytes:
    """Return the hash of the invented leaf of an index."""
    return hashlib.sha256(b"\x00" + f"leaf {index}".encode()).digest()


def leaves(begin: int, end: int) -> list[bytes]:
    """Return the hashes of invented leaves."""
    return [leaf(index) for index in range(begin, end)]


def node(left: bytes, right: bytes) -> bytes:
    """Hash an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@cache
def mth(begin: int, end: int) -> bytes:
    """Return MTH(D[begin:end]) of the invented leaves (RFC 6962, section 2.1)."""
    if begin == end:
        return hashlib.sha256(b"").digest()
    if end - begin == 1:
        return leaf(begin)
    k = 1
    while k * 2 < end - begin:
        k *= 2
    return node(mth(begin, begin + k), mth(begin + k, end))


def path(index: int, begin: int, end: int) -> list[bytes]:
    """Return PATH(index, D[begin:end]) (RFC 6962, section 2.1.1)."""
    if end - begin == 1:
        return []
    k = 1
    while k * 2 < end - begin:
        k *= 2
    if index < k:
        return [*path(index, begin, begin + k), mth(begin + k, end)]
    return [*path(index - k, begin + k, end), mth(begin, begin + k)]


def root_by_inclusion(hashed: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Derive the root from an inclusion proof (RFC 9162, section 2.1.3.2); fail where it does not fit."""
    assert index < size
    fn, sn, r = index, size - 1, hashed
    for p in proof:
        assert sn != 0, "the proof is too long"
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0, "the proof is too short"
    return r


def note(size: int, root: bytes | None = None, origin: str = ORIGIN) -> str:
    """Return a note; its signature is for others to judge."""
    encoded = base64.b64encode(mth(0, size) if root is None else root).decode()
    return f"{origin}\n{size}\n{encoded}\n\n\N{EM DASH} {origin} c2lnbmVk\n"
