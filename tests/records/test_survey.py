"""The city's own questions to the real database, on both: plans, indexes, differences, one record as rules see it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from gateway.access import AccessRequest, Action, Compare, Search, SortKey, Subject
from gateway.errors import ConfigurationError
from gateway.policy.bundle import Bundle
from gateway.policy.check import load_checked
from gateway.policy.compose import Permit
from gateway.policy.condition import RECORD
from gateway.policy.decide import decide
from gateway.policy.view import View
from gateway.survey import Survey
from tests.arrests import ARRESTS
from tests.conftest import MakeWorld
from tests.world import IMMIGRATION, POLICIES, agreement

CLOSED = frozenset({"hold-standard-on-data"})


@pytest.fixture
def bundle() -> Bundle:
    """The policy that ships."""
    return load_checked(POLICIES)


@pytest.fixture
def survey(make_world: MakeWorld, bundle: Bundle) -> Iterator[Survey]:
    """A survey of the tests' arrest database."""
    made = Survey(make_world().settings, bundle.catalogue)
    yield made
    made.close()


def view_of(bundle: Bundle, named: frozenset[str] = frozenset()) -> View:
    """Return what ICE's view was on a day of 2014."""
    subject = Subject("ice", agreement("ice"))
    moment = datetime(2014, 5, 1, 12, tzinfo=UTC)
    decision = decide(AccessRequest(subject, Action.READ, "arrests", IMMIGRATION, moment), bundle, named)
    assert isinstance(decision, Permit)
    return decision.view


@pytest.mark.parametrize("named", [frozenset(), CLOSED])
def test_a_plan_is_explained_without_being_run(survey: Survey, bundle: Bundle, named: frozenset[str]) -> None:
    """With instruments, statutes and related rows in it; the values of the search are parameters."""
    asked = Compare("family_name", "eq", "SECRET")
    search = Search("arrests", IMMIGRATION, None, asked, (SortKey("arrested_at", descending=True),), (), 5, None)
    plan, explained = survey.plan(bundle.catalogue.resources["arrests"], view_of(bundle, named), search, ())
    assert explained
    assert "SECRET" not in plan.statement.sql


def test_the_indexes_that_a_search_lacks_are_named(survey: Survey, bundle: Bundle, dialect: str) -> None:
    """A column without an index, with the order that the comparison needs; nothing for one that has it."""
    resource, view = bundle.catalogue.resources["arrests"], view_of(bundle)

    def missing(field: str) -> tuple[str, ...]:
        asked = Compare(field, "eq", "x")
        return survey.missing_indexes(resource, view, Search("arrests", IMMIGRATION, None, asked, (), (), 5, None))

    order = ' COLLATE "C"' if dialect == "postgresql" else ""
    assert missing("employer") == (f"CREATE INDEX ix_person_employer ON person (employer{order})",)
    assert missing("dc_number") == ()


def test_two_views_are_compared_in_numbers(survey: Survey, bundle: Bundle) -> None:
    """What is gained one way is lost the other; a view that is none holds nothing."""
    resource, wide, narrow = bundle.catalogue.resources["arrests"], view_of(bundle), view_of(bundle, CLOSED)
    away, back = survey.difference(resource, wide, narrow, ()), survey.difference(resource, narrow, wide, ())
    assert 0 < away.records.before < ARRESTS
    assert (away.records.after, away.records.lost) == (0, away.records.before)
    assert (back.records.gained, back.persons.gained) == (away.records.lost, away.persons.lost)
    assert survey.difference(resource, None, wide, ()) == back
    assert survey.count(resource, wide, ()) == (away.records.before, away.persons.before)


def test_one_record_is_read_as_rules_see_it(survey: Survey, bundle: Bundle) -> None:
    """With its relations; a key that nobody has is told."""
    resource = bundle.catalogue.resources["arrests"]
    facts, person = survey.facts(resource, 1, ())
    assert person is not None
    record = facts.variables[RECORD]
    assert record.keys() == {*resource.fields, *resource.relations}
    assert isinstance(record["charges"], tuple)
    with pytest.raises(ConfigurationError, match="no record 77"):
        survey.facts(resource, 77_777_777, ())
