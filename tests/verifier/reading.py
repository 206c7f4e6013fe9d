"""How the verifier's tests verify."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.verifier.evidence import Evidence
from gateway.verifier.note import read_log_key
from gateway.verifier.verdict import VerificationError, Verified
from gateway.verifier.verify import verify
from tests.verifier.writer import Written, vkey

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # before the promises of the writer are due


def verified(
    log: Written,
    directory: Path,
    evidence: Evidence | None = None,
    keys: tuple[Ed25519PrivateKey, ...] = (),
    now: datetime = NOW,
    **header: Any,
) -> Verified:
    """Write an export and verify it with the log's first key, if no other is given."""
    trusted = tuple(read_log_key(vkey(key, log.origin)) for key in keys or (log.key,))
    return verify(log.write(directory, **header), trusted, evidence or Evidence(), now)


def wrong(log: Written, directory: Path, *args: Any, **kwargs: Any) -> str:
    """Return what is wrong with a log, with its leading word."""
    with pytest.raises(VerificationError) as raised:
        verified(log, directory, *args, **kwargs)
    assert str(raised.value).startswith(f"{raised.value.wrong}: ")
    return str(raised.value)
