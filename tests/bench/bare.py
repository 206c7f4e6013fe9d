"""The bare endpoint: the gateway's SELECTs behind Flask and gunicorn, without a single control."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from flask import Flask, Response, request
from gunicorn.app.base import BaseApplication
from sqlalchemy.engine import Engine

from gateway import settings as configuration
from gateway.cli.serve import gunicorn_options
from gateway.settings import Settings

PAGE = 50


class Shape(msgspec.Struct, frozen=True):
    """A statement and which of its columns are what: after two keys the presence, then numbered cells and relations."""

    sql: str
    constants: dict[str, Any]
    presence: list[str]
    cells: list[tuple[str, int]]
    related: list[tuple[str, int, list[str]]]


class Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """gunicorn with the gateway's own options."""

    def __init__(self, settings: Settings, shapes: dict[str, Shape]) -> None:
        self._settings = settings
        self._shapes = shapes
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up as the gateway does."""
        for name, value in gunicorn_options(self._settings):
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build this process's application."""
        return application(self._settings.arrest_url, self._shapes)


def application(url: str, shapes: dict[str, Shape]) -> Flask:
    """Build a route over the arrest database; who asks sends the values of a statement."""
    options = "-c TimeZone=UTC -c DateStyle=ISO -c jit=off -c max_parallel_workers_per_gather=0"
    engine = sa.create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=16, max_overflow=0, connect_args={"options": options}
    )
    app = Flask("bare")

    @app.post("/<name>")
    def asked(name: str) -> Response:
        values = request.get_json()
        records = _records(engine, shapes[name], values)
        return _json({"resource": "arrests", "records": records[:PAGE], "next": None})

    return app


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), content_type="application/json")


def _records(engine: Engine, shape: Shape, values: dict[str, Any]) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(shape.sql, shape.constants | values).fetchall()
    return [_record(shape, tuple(row)) for row in rows]


def _record(shape: Shape, row: tuple[Any, ...]) -> dict[str, Any]:
    record: dict[str, Any] = {"id": row[0]}
    present = dict(zip(shape.presence, row[2:], strict=False))
    for path, number in shape.cells:
        relation, _, name = path.rpartition(".")
        value = row[number]
        if not relation:
            record[name] = value
        elif present[relation]:
            record.setdefault(relation, {})[name] = value
        else:
            record[relation] = None
    for name, number, fields in shape.related:
        related = [] if row[number] is None else msgspec.json.decode(row[number])
        record[name] = [dict(zip(fields, columns[1:], strict=False)) for columns in related]
    return record


if __name__ == "__main__":
    read = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=dict[str, Shape])
    Server(configuration.read(), read).run()
