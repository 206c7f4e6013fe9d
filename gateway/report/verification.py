"""Recomputes a report from an export of the log and compares it, byte by byte.

That the export is the log, whole and unchanged, is not said here: `gateway audit verify` verifies that.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from gateway import __version__
from gateway.errors import ConfigurationError
from gateway.report.export import Export
from gateway.report.files import FORMAT, JSON_FILE, files
from gateway.report.publication import Parameters, publish


class ReportError(Exception):
    """The first thing in which a report differs from what the log gives."""


class _Checkpoint(msgspec.Struct):
    size: int
    note: str


class _Stated(msgspec.Struct):
    """What a report says of how it was made."""

    format: str
    quarter: str
    time_zone: str
    threshold: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    gateway: str
    checkpoint: _Checkpoint


def verify(directory: Path, export: Export) -> Parameters:
    """Recompute a report from its own parameters; raise ReportError, or ConfigurationError where that can't be done.

    1. The report says how it was made, and the export reaches as far as the report's checkpoint.
    2. The export gives the same checkpoint.
    3. The directory holds the report's files, and no others.
    4. Each file is, byte for byte, what the export gives.
    """
    # 1.
    stated = _stated(directory / JSON_FILE)
    if export.size < stated.checkpoint.size:
        raise ConfigurationError(
            f"the export holds {export.size} entries, the report stands on {stated.checkpoint.size}: get a newer one"
        )
    parameters = Parameters(stated.quarter, stated.time_zone, stated.threshold, stated.gateway)
    published, _ = publish(export, parameters)
    # 2.
    if published.size != stated.checkpoint.size:
        raise ReportError(
            f"the report stands on the checkpoint of {stated.checkpoint.size} entries; "
            f"a report on {stated.quarter} stands on that of {published.size}"
        )
    if published.note != stated.checkpoint.note:
        raise ReportError(f"the checkpoint of {published.size} entries is not the one that the export holds")
    # 3.
    expected = files(published)
    found = {path.name for path in directory.iterdir()}
    for name in sorted(found ^ set(expected)):
        raise ReportError(f"{name} is missing" if name in expected else f"{name} is no file of the report")
    # 4.
    for name, wanted in expected.items():
        _compare(directory / name, wanted, stated.gateway)
    return parameters


def _stated(file: Path) -> _Stated:
    try:
        stated = msgspec.json.decode(file.read_bytes(), type=_Stated)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    if stated.format != FORMAT:
        raise ConfigurationError(f"{file}: the format is '{stated.format}', not '{FORMAT}'")
    return stated


def _compare(file: Path, wanted: bytes, version: str) -> None:
    try:
        got = file.read_bytes()
    except OSError as error:
        raise ReportError(f"{file.name}: {error.strerror}") from None
    if got == wanted:
        return
    at = next((at for at, (one, other) in enumerate(zip(got, wanted, strict=False)) if one != other), None)
    line = 1 + wanted[: min(len(got), len(wanted)) if at is None else at].count(b"\n")
    form = "" if version == __version__ else f" (it was made by {version}, this is {__version__}: the form may differ)"
    raise ReportError(
        f"{file.name}, line {line}: the report says '{_line(got, line)}', the log gives '{_line(wanted, line)}'{form}"
    )


def _line(text: bytes, number: int) -> str:
    lines = text.split(b"\n")
    shown = lines[number - 1] if number <= len(lines) else b""
    return shown.decode(errors="replace").strip()[:120]
