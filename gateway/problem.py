"""Problems: a refusal as the bytes that are sent of it (RFC 9457)."""

import msgspec

from gateway.errors import Refusal


def problem(refusal: Refusal) -> bytes:
    """Write a refusal as a problem; `code` is stable, `detail` holds no value of a record."""
    members: dict[str, object] = {
        "type": f"urn:arrest-gateway:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code.value,
        "detail": refusal.detail,
    }
    if refusal.reasons:
        members["reasons"] = [
            {"rule": reason.rule, "basis": reason.basis, "because": reason.because} for reason in refusal.reasons
        ]
    return msgspec.json.encode(members)
