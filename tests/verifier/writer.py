"""A small writer of logs after docs/log-format.md, for the verifier's tests; it shares nothing with the gateway."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "gateway.test/log"
FORMAT = "arrest-gateway-log-export/1"


def sha(data: bytes) -> bytes:
    """Hash with SHA-256."""
    return hashlib.sha256(data).digest()


def split(size: int) -> int:
    """Return the largest power of two below a size."""
    return 1 << ((size - 1).bit_length() - 1)


def hashed(leaf: bytes) -> bytes:
    """Hash a leaf."""
    return sha(b"\0" + leaf)


def root(hashes: Sequence[bytes]) -> bytes:
    """Return MTH as RFC 6962, section 2.1, writes it, over leaf hashes."""
    if not hashes:
        return sha(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return sha(b"\1" + root(hashes[:k]) + root(hashes[k:]))


def path(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Return PATH as RFC 6962, section 2.1.1, writes it."""
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return [*path(index, hashes[:k]), root(hashes[k:])]
    return [*path(index - k, hashes[k:]), root(hashes[:k])]


def b64(data: bytes) -> str:
    """Write base64."""
    return base64.b64encode(data).decode()


def b64url(data: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def vkey(key: Ed25519PrivateKey, name: str = ORIGIN, kind: int = 1) -> str:
    """Write a verifier key; kind 4 is a witness's."""
    return f"{name}+{key_id(key, name, kind).hex()}+{b64(bytes([kind]) + key.public_key().public_bytes_raw())}"


def key_id(key: Ed25519PrivateKey, name: str, kind: int) -> bytes:
    """Return a note key's id."""
    return sha(name.encode() + b"\n" + bytes([kind]) + key.public_key().public_bytes_raw())[:4]


def note(size: int, root: bytes, *keys: Ed25519PrivateKey, origin: str = ORIGIN) -> str:
    """Sign a checkpoint."""
    text = f"{origin}\n{size}\n{b64(root)}\n"
    lines = (f"\u2014 {origin} {b64(key_id(key, origin, 1) + key.sign(text.encode()))}\n" for key in keys)
    return text + "\n" + "".join(lines)


def cosigned(signed: str, witness: Ed25519PrivateKey, name: str, time: int = 1_795_000_000) -> str:
    """Add a witness's cosignature to a note."""
    text = signed.rpartition("\n\n")[0] + "\n"
    content = witness.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    return f"{signed}\u2014 {name} {b64(key_id(witness, name, 4) + time.to_bytes(8, 'big') + content)}\n"


def compact(key: Ed25519PrivateKey, header: object, payload: object) -> str:
    """Sign a JWS in compact form."""
    signed = ".".join(b64url(json.dumps(part).encode()) for part in (header, payload))
    return f"{signed}.{b64url(key.sign(signed.encode()))}"


def canonical(value: object) -> bytes:
    """Write canonical JSON, for what has neither fractions nor texts outside of ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def commitment(salt: bytes, kind: str, value: object) -> bytes:
    """Commit to an opening."""
    return sha(b"arrest-gateway opening v1\n" + salt + canonical({"kind": kind, "value": value}))


def leaf(nth: int, commitments: Sequence[bytes] = (), /, **members: Any) -> dict[str, Any]:
    """Make the leaf of the nth entry."""
    return {
        "version": 2,
        "id": f"{nth:032x}",
        "time": f"2026-11-23T{nth // 3600:02}:{nth // 60 % 60:02}:{nth % 60:02}.000000Z",
        "gateway": "0.2.0",
        "action": "read",
        "decision": "permit",
        "outcome": "disclosed",
        "commitments": {
            "count": len(commitments),
            "root": root([hashed(commitment) for commitment in commitments]).hex(),
        },
        **members,
    }


@dataclass(slots=True)
class Written:
    """An export while it can still be forged: one list a file."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    promise_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    origin: str = ORIGIN
    leaves: list[bytes] = field(default_factory=list)
    commitments: list[list[bytes] | None] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    openings: list[dict[str, Any]] = field(default_factory=list)
    unsealed: list[bytes] = field(default_factory=list)

    def append(self, **members: Any) -> int:
        """Append an entry with two openings; return its index."""
        number = len(self.leaves)
        salts = [sha(f"{number} {position}".encode())[:16] for position in range(2)]
        values = ("officer", f"Officer {number}"), ("record", {"resource": "arrests", "key": "1", "person": "2"})
        committed = [commitment(salt, *value) for salt, value in zip(salts, values, strict=True)]
        content = leaf(number, committed, **members)
        self.leaves.append(canonical(content))
        self.commitments.append(committed)
        self.openings += [
            {"entry": content["id"], "position": position, "salt": salt.hex(), "kind": kind, "value": value}
            for position, (salt, (kind, value)) in enumerate(zip(salts, values, strict=True))
        ]
        return number

    def hashes(self) -> list[bytes]:
        """Return the leaf hashes; a lost leaf's is what its line says."""
        return [
            bytes.fromhex(json.loads(line)["lost"]) if line.startswith(b'{"lost"') else hashed(line)
            for line in self.leaves
        ]

    def sign(self, *keys: Ed25519PrivateKey) -> str:
        """Sign the tree as it is, by the log's key if none other is given."""
        signed = note(len(self.leaves), root(self.hashes()), *(keys or (self.key,)), origin=self.origin)
        self.notes.append((len(self.leaves), signed))
        return signed

    def sign_again(self) -> None:
        """Sign the tree as it is now at every size that has a checkpoint."""
        hashes = self.hashes()
        self.notes = [(size, note(size, root(hashes[:size]), self.key, origin=self.origin)) for size, _ in self.notes]

    def lose(self, *indexes: int) -> None:
        """Lose entries, and keep their leaf hashes."""
        for index in indexes:
            identifier = json.loads(self.leaves[index])["id"]
            self.openings = [opening for opening in self.openings if opening["entry"] != identifier]
            self.leaves[index] = canonical({"lost": hashed(self.leaves[index]).hex()})
            self.commitments[index] = None

    def promise(self, index: int, **members: Any) -> str:
        """Promise the entry of a leaf."""
        content = self.leaves[index]
        payload = {
            "iss": self.origin,
            "entry": json.loads(content)["id"],
            "leaf": hashed(content).hex(),
            "iat": 1_795_000_000,
            "by": 1_795_086_400,
            **members,
        }
        return compact(self.promise_key, {"alg": "Ed25519", "typ": "log-promise+jwt", "kid": "promise-1"}, payload)

    def receipt(self, index: int, which: int = -1) -> str:
        """Write the receipt of a leaf under one of the checkpoints."""
        size, signed = self.notes[which]
        nodes = "".join(b64(node) + "\n" for node in path(index, self.hashes()[:size]))
        return f"c2sp.org/tlog-proof@v1\nindex {index}\n{nodes}\n{signed}"

    def write(self, directory: Path, **header: Any) -> Path:
        """Write the export."""
        directory.mkdir(parents=True, exist_ok=True)
        told = {"format": FORMAT, "origin": self.origin, "size": len(self.leaves), **header}
        (directory / "log.json").write_text(json.dumps(told))
        files: dict[str, list[bytes]] = {
            "leaves": self.leaves,
            "unsealed": self.unsealed,
            "commitments": [
                canonical(None if each is None else [commitment.hex() for commitment in each])
                for each in self.commitments
            ],
            "checkpoints": [canonical({"size": size, "note": signed}) for size, signed in self.notes],
            "openings": [canonical(opening) for opening in self.openings],
        }
        for name, lines in files.items():
            (directory / f"{name}.ndjson").write_bytes(b"".join(line + b"\n" for line in lines))
        return directory


def keys_created(log: Written) -> dict[str, Any]:
    """Return the facts of the entry that made a log's keys."""
    return {
        "action": "keys-create",
        "keys": [
            {"use": "checkpoint", "number": 1, "id": "checkpoint-1", "public": vkey(log.key)},
            {"use": "promise", "number": 1, "id": "promise-1", "public": b64(public(log.promise_key))},
            {"use": "index", "number": 1, "id": "index-1", "public": None},
        ],
    }


def rotated(key: Ed25519PrivateKey, number: int, name: str = ORIGIN) -> dict[str, Any]:
    """Return the facts of the entry that rotated the checkpoint key."""
    named = {"use": "checkpoint", "number": number, "id": f"checkpoint-{number}", "public": vkey(key, name)}
    return {"action": "key-rotate", "keys": [named]}


def public(key: Ed25519PrivateKey) -> bytes:
    """Return the raw public key."""
    return key.public_key().public_bytes_raw()


def honest(sizes: Sequence[int] = (1, 4, 9, 13, 20)) -> Written:
    """Write an honest log that was signed at these sizes."""
    log = Written()
    log.append(**keys_created(log))
    for size in sizes:
        while len(log.leaves) < size:
            log.append()
        log.sign()
    return log
