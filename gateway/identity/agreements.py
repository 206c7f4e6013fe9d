"""Agreements over time: suspended, resumed, renewed, terminated, and what the agency certifies under them.

Each change makes a new version, and is written in the transaction of its log entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.access import AgreementState, Certification
from gateway.errors import ConfigurationError
from gateway.store import Store


@dataclass(frozen=True, slots=True)
class Standing:
    """What of an agreement can change."""

    id: str
    version: int
    state: AgreementState
    until: date | None
    certifications: tuple[Certification, ...]


def suspended(standing: Standing) -> Standing:
    """Refuse its clients until it is resumed."""
    return _moved(standing, AgreementState.IN_FORCE, AgreementState.SUSPENDED)


def resumed(standing: Standing) -> Standing:
    """End a suspension."""
    return _moved(standing, AgreementState.SUSPENDED, AgreementState.IN_FORCE)


def terminated(standing: Standing) -> Standing:
    """End it for good: whoever agrees again makes another agreement."""
    return _next(standing, state=AgreementState.TERMINATED)


def renewed(standing: Standing, until: date) -> Standing:
    """Move its end to a later day; a suspended one stays suspended."""
    if standing.until is None or until <= standing.until:
        raise ConfigurationError(f"the agreement {standing.id} runs {_end(standing)} already")
    return _next(standing, until=until)


def certified(standing: Standing, certification: Certification) -> Standing:
    """Add what the agency has certified for a purpose; of the same text, the last certification counts."""
    if certification.expires_on <= certification.signed_on:
        raise ConfigurationError("a certification must expire after it was signed")
    same = (certification.purpose, certification.text)
    kept = tuple(each for each in standing.certifications if (each.purpose, each.text) != same)
    return _next(standing, certifications=(*kept, certification))


def read(store: Store, agreement_id: str) -> Standing:
    """Read an agreement that is to be changed."""
    table = tables.agreement
    with store.reading() as connection:
        row = connection.execute(sa.select(table).where(table.c.agreement_id == agreement_id)).one_or_none()
    if row is None:
        raise ConfigurationError(f"there is no agreement {agreement_id}")
    certifications = tuple(certification(each) for each in row.certifications)
    return Standing(agreement_id, row.version, AgreementState(row.state), row.until, certifications)


def write(connection: Connection, changed: Standing) -> None:
    """Write the next version of an agreement, unless another has been written since it was read."""
    table = tables.agreement
    values = {
        "version": changed.version,
        "state": changed.state.value,
        "until": changed.until,
        "certifications": [written(each) for each in changed.certifications],
    }
    before = (table.c.agreement_id == changed.id) & (table.c.version == changed.version - 1)
    if connection.execute(table.update().where(before).values(values)).rowcount != 1:
        raise ConfigurationError(f"the agreement {changed.id} was changed by someone else; look at it again")


def written(certification: Certification) -> dict[str, str]:
    """Write a certification as the store keeps it."""
    return {
        "purpose": certification.purpose,
        "text": certification.text,
        "signer": certification.signer,
        "document_sha256": certification.document_sha256,
        "signed_on": certification.signed_on.isoformat(),
        "expires_on": certification.expires_on.isoformat(),
    }


def certification(kept: Mapping[str, Any]) -> Certification:
    """Read a certification from the store."""
    return Certification(
        purpose=kept["purpose"],
        text=kept["text"],
        signer=kept["signer"],
        document_sha256=kept["document_sha256"],
        signed_on=date.fromisoformat(kept["signed_on"]),
        expires_on=date.fromisoformat(kept["expires_on"]),
    )


def _moved(standing: Standing, before: AgreementState, after: AgreementState) -> Standing:
    if standing.state is not before and standing.state is not AgreementState.TERMINATED:
        raise ConfigurationError(f"the agreement {standing.id} is {standing.state}, not {before}")
    return _next(standing, state=after)


def _next(standing: Standing, **changed: Any) -> Standing:
    if standing.state is AgreementState.TERMINATED:
        raise ConfigurationError(f"the agreement {standing.id} is terminated, and is never taken up again")
    return replace(standing, version=standing.version + 1, **changed)


def _end(standing: Standing) -> str:
    return "without end" if standing.until is None else f"until {standing.until}"
