"""Surveys what views hold of the real database, for the city's own eyes: numbers, plans and how one record is judged.

No client's question leads here, and no value of a record leaves.
"""

from datetime import date

from gateway.access import Instrument, Search
from gateway.catalogue import Catalogue, Resource
from gateway.errors import ConfigurationError
from gateway.instruments import Instruments
from gateway.plan.difference import Difference, difference
from gateway.plan.planner import Plan, Planner
from gateway.policy.compose import everything
from gateway.policy.condition import RECORD
from gateway.policy.evaluate import Facts
from gateway.policy.tables import Dialect
from gateway.policy.view import View
from gateway.records import indexes, schema
from gateway.records.query import Records, Row
from gateway.settings import Settings
from gateway.store import Store

# The city's own questions read whole tables, and may take longer than a client's.
PATIENCE = 12


class Survey:
    """Connections to both databases, for reading."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._records = Records(settings.arrest_url, settings.query_timeout * PATIENCE)
        self._store = Store(settings.store_url)
        self._dialect = Dialect(self._records.engine.dialect.name)
        try:
            self._unfit = schema.fitting(catalogue, self._records.engine, settings.only_invented)
        except ConfigurationError:
            self.close()
            raise

    def instruments(self, agency: str, purpose: str, day: date) -> tuple[Instrument, ...]:
        """Return the instruments in force for an agency and purpose on a local day."""
        return Instruments(self._store).in_force(agency, purpose, day)

    def count(self, resource: Resource, view: View, instruments: tuple[Instrument, ...]) -> tuple[int, int]:
        """Return how many records and persons a view holds."""
        records, persons = self._records.row(self._planner(resource).count(view, instruments))
        return records, persons

    def difference(
        self, resource: Resource, old: View | None, new: View | None, instruments: tuple[Instrument, ...]
    ) -> Difference:
        """Count what one view holds and another does not."""
        plan = self._planner(resource).difference(old, new, instruments)
        return difference(self._records.row(plan))

    def facts(self, resource: Resource, key: int, instruments: tuple[Instrument, ...]) -> tuple[Facts, int | None]:
        """Read one record by its key, as conditions judge it, and whose it is."""
        view = everything(resource)
        rows = self._records.query(self._planner(resource).lookup(view, key, ()))
        if not rows:
            raise ConfigurationError(f"there is no record {key} among the {resource.name}")
        return Facts({RECORD: _record(rows[0], resource)}, instruments), rows[0].person

    def plan(
        self, resource: Resource, view: View, search: Search, instruments: tuple[Instrument, ...]
    ) -> tuple[Plan, str]:
        """Plan a search, and let the database explain how it would run it; nothing is run."""
        plan = self._planner(resource).search(view, search, instruments, None)
        return plan, self._records.explained(plan)

    def missing_indexes(self, resource: Resource, view: View, search: Search) -> tuple[str, ...]:
        """Return, as statements that make them, the indexes that a search under a view would need and lacks."""
        return indexes.missing(resource, view, search, self._records.engine)

    def close(self) -> None:
        """Let the connections go."""
        self._records.engine.dispose()
        self._store.close()

    def _planner(self, resource: Resource) -> Planner:
        if resource.name in self._unfit:
            raise ConfigurationError(self._unfit[resource.name])
        return Planner(resource, self._dialect)


def _record(row: Row, resource: Resource) -> dict[str, object]:
    """Put a row of the view that holds everything into the form in which conditions see a record."""
    record: dict[str, object] = {name: row.cells[name] for name in resource.fields}
    for name, relation in resource.relations.items():
        if relation.many:
            record[name] = row.related[name] or ()
        else:
            fields = {field: row.cells[f"{name}.{field}"] for field in relation.fields}
            record[name] = fields if row.present[name] else None
    return record
