"""What each answer must be, by the record-side evaluator: which records, in which order, on which page, each cell.

It knows the rules, one record at a time, and nothing of views, plans or SQL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from gateway.opaque import Holder, Ids
from gateway.policy.masks import Form
from tests.disclosure.filters import in_order, matches, related_paths, scalar_paths
from tests.disclosure.regimes import Regime, cases, opens
from tests.disclosure.worlds import Sight, World, covering, sights
from tests.policy.reference import Law

_ID = re.compile(r"[A-Za-z0-9_-]{34}")


@dataclass(slots=True)
class Oracle:
    """Foresees a client's answers in a world.

    `charged` is what its budget has been spent on, `left` how many more pages may be refused for it before its day is
    over.
    """

    client: str
    regime: Regime
    ids: Ids
    seen: Mapping[str, list[Sight]]
    left: int
    charged: set[tuple[str, int]] = field(default_factory=set)

    def law(self, purpose: str) -> Law | None:
        """Return the law for a purpose, if it gives any view."""
        found = self.regime.laws.get(purpose)
        return found if found is not None and opens(found) else None

    def found(self, purpose: str, body: dict[str, Any]) -> list[Sight]:
        """Return the records that a question finds, on all of its pages."""
        law, asked = self.regime.laws[purpose], body.get("filter", {})
        kept = [sight for sight in self.seen[purpose] if matches(law, asked, sight) is True]
        return in_order(kept, body.get("sort", []))

    @property
    def over(self) -> bool:
        """Whether every page is refused today, whatever is on it."""
        return self.regime.at_most is not None and self.left == 0

    def charge(self, purpose: str, body: dict[str, Any], page: list[Sight]) -> bool:
        """Charge a page, whole or not at all; say whether the budget allows it.

        `page` is with the first record of the one that follows. Persons are counted where the page shows who they are,
        or every record of the view does; else records.
        """
        named = {*body.get("fields", ["person"]), *(key.removeprefix("-") for key in body.get("sort", ()))}
        told = "person" in named or self.regime.laws[purpose].shows("person")
        marks = {("persons", s.person) if told and s.person is not None else ("records", s.id) for s in page}
        allowed = self.regime.at_most is None or len(self.charged | marks) <= self.regime.at_most
        self.charged |= marks if allowed else set()
        self.left -= not allowed
        return allowed

    def check(
        self, purpose: str, body: dict[str, Any], answer: dict[str, Any], told: list[Any], page: list[Sight]
    ) -> None:
        """Hold the records that were told, each cell of them, and what is said of the view and the policy."""
        law = self.regime.laws[purpose]
        assert answer["policy"] == {
            "bundle": self.regime.bundle.digest,
            "rules": sorted(rule.name for rule in law.rules),
            "notices": list(self.regime.notices),
            "as_of": None,
        }
        self._check_view(law, answer["view"], self.seen[purpose])
        for record in told:
            assert _ID.fullmatch(record["id"])
            # In an order of the answer's own.
            record.get("source_defects", []).sort()
        assert told == [self._record(purpose, body, sight, set(answer["view"]["varying"])) for sight in page]

    def _check_view(self, law: Law, view: dict[str, Any], seen: list[Sight]) -> None:
        """Each field stands in one place of the description, and in each record as is said there."""
        held = {path for path, _ in cases().paths() if law.holds(path)}
        assert sorted([*view["shown"], *view["masked"], *view["varying"]]) == sorted(held)
        for sight in seen:
            for path, standing in sight.standings.items():
                if path in view["withheld"]:
                    assert (standing, sight.because[path]) == ("withheld", view["withheld"][path]["rule"])
                elif path in view["masked"]:
                    assert standing == "masked"
                else:
                    assert path in view["varying"] or standing == "shown"

    # --- one record -----------------------------------------------------------------------------------------------

    def _record(self, purpose: str, body: dict[str, Any], sight: Sight, varying: set[str]) -> dict[str, Any]:
        law = self.regime.laws[purpose]
        scalars, related = self._fields(law, body)
        record: dict[str, Any] = {"id": self._id(sight.id, purpose, "cases")}
        for path in scalars:
            relation, _, name = path.rpartition(".")
            if sight.standings[path] == "withheld":
                continue
            if not relation:
                record[name] = self._told(law, purpose, path, sight.cells[path], sight)
            elif sight.present[relation]:
                record.setdefault(relation, {})[name] = self._told(law, purpose, path, sight.cells[path], sight)
            else:
                record[relation] = None
        shown = [path for path in related if sight.standings[path] != "withheld"]
        if shown:
            rows = sight.rows["counts"]
            record["counts"] = rows if rows is None else [self._row(law, purpose, shown, row, sight) for row in rows]
        asked = {*scalars, *related, *(key.removeprefix("-") for key in body.get("sort", ()))}
        redacted = {path: rule for path, rule in sight.because.items() if path in asked & varying}
        defects = sorted(path for path in sight.defects if self._is_told(path, asked, record))
        pointer = {"ask": sight.pointer, "rule": self._pointing(law, sight.pointer)} if sight.pointer else {}
        said = {"redacted": redacted, "source_defects": defects, "pointer": pointer}
        return record | {name: value for name, value in said.items() if value}

    @staticmethod
    def _fields(law: Law, body: dict[str, Any]) -> tuple[list[str], list[str]]:
        scalars, related = scalar_paths(law), related_paths(law)
        named = body.get("fields") or [*scalars, "counts"]
        return [p for p in scalars if p in named], [p for p in related if p in named or "counts" in named]

    @staticmethod
    def _is_told(path: str, asked: set[str], record: dict[str, Any]) -> bool:
        if path == "counts":
            return path in record
        return path in asked and path.partition(".")[0] in record

    @staticmethod
    def _pointing(law: Law, ask: str) -> str:
        return next(rule.name for rule in law.permits if rule.pointer == ask)

    def _row(self, law: Law, purpose: str, paths: list[str], row: dict[str, Any], sight: Sight) -> dict[str, Any]:
        names = {path.partition(".")[2]: path for path in paths}
        return {name: self._told(law, purpose, path, row[name], sight) for name, path in names.items()}

    def _told(self, law: Law, purpose: str, path: str, value: Any, sight: Sight) -> Any:
        """Write a value as an answer does: days and times as texts, keys and pseudonyms as what stands for them."""
        mask = law.mask_of(path)
        if path == "person":
            return self._id(value, purpose, "person")
        if mask is not None and mask.form is Form.PSEUDONYM and sight.standings[path] == "masked":
            return value if value is None else self.ids.pseudonym(value, Holder(self.client, purpose, f"cases.{path}"))
        if isinstance(value, datetime):
            return value.isoformat().replace("+00:00", "Z")
        return value.isoformat() if isinstance(value, date) else value

    def _id(self, key: int, purpose: str, kind: str) -> str:
        return self.ids.conceal(key, Holder(self.client, purpose, kind))


def foresee(client: str, regime: Regime, ids: Ids, world: World, left: int) -> Oracle:
    """Judge every record of a world, for each purpose that the client may state."""
    seen = {
        purpose: sights(law, world, covering(regime, purpose, world.papers)) for purpose, law in regime.laws.items()
    }
    return Oracle(client, regime, ids, seen, left)
