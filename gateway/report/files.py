"""Writes a report as files: one page, one CSV a table, and all figures as JSON; the same bytes for the same figures."""

import base64
import hashlib
import json
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from gateway.inspection import spreadsheet
from gateway.report.counting import SHOWN, Cell
from gateway.report.publication import Group, Published
from gateway.report.tables import Table, tables

FORMAT = "arrest-gateway-report/1"
JSON_FILE = "report.json"
_PAGE = "report.html"


def files(published: Published) -> dict[str, bytes]:
    """Return the report's files by their names."""
    made = tables(published)
    written = {_PAGE: _page(published, made).encode(), JSON_FILE: _figures(published, made)}
    return written | {f"{table.name}.csv": spreadsheet.written(table.columns, table.rows).encode() for table in made}


def _page(published: Published, made: tuple[Table, ...]) -> str:
    """Write the page; its policy lets nothing be loaded or run, and names its one style by its hash."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    here = resources.files(__package__)
    style = (here / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    exact = any(group.key == () for group in published.groups)
    return template.render(report=published, tables=made, style=style, digest=digest, exact=exact) + "\n"


def _figures(published: Published, made: tuple[Table, ...]) -> bytes:
    told = {
        "format": FORMAT,
        "quarter": str(published.quarter),
        "time_zone": published.parameters.time_zone,
        "from": f"{published.begins:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{published.ends:%Y-%m-%dT%H:%M:%SZ}",
        "threshold": published.parameters.threshold,
        "gateway": published.parameters.gateway,
        "checkpoint": {"origin": published.origin, "size": published.size, "note": published.note},
        "rehearsal": published.rehearsal,
        "groups": [_group(group) for group in published.groups],
        "tables": {table.name: {"columns": table.columns, "rows": table.rows} for table in made},
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def _group(group: Group) -> dict[str, Any]:
    """Write a group: a member that is absent is not told, one that is null stood in no request."""
    told: dict[str, Any] = dict(zip(Cell._fields, group.key, strict=False))
    told["requests"] = group.requests
    if told.get("outcome") == SHOWN:
        told |= {"records": group.records, "persons": group.persons}
    return told
