"""The guide to watching says what the code does."""

from pathlib import Path

from gateway.review import fields
from gateway.review.rules import RULES
from gateway.watch import alerts, leaves, tail, webhook
from gateway.watch.alerts import Kind

GUIDE = (Path(__file__).parent.parent.parent / "docs" / "guides" / "watching.md").read_text()


def test_each_kind_of_alert_is_in_the_guide() -> None:
    """None comes that nobody can look up."""
    assert [kind for kind in Kind if f"\n| `{kind}` |" not in GUIDE] == []


def test_each_rule_of_the_review_is_in_the_guide_with_its_points() -> None:
    """In the order of their weight, and in the same words."""
    rows = [f"| `{rule.name}` | {rule.points} | {rule.looks_for} |" for rule in RULES]
    assert "\n".join(rows) in GUIDE
    assert sorted((rule.points for rule in RULES), reverse=True) == [rule.points for rule in RULES]


def test_the_figures_are_those_of_the_guide() -> None:
    """How much, how soon, how often."""
    said = " ".join(GUIDE.split())
    assert f"searched {leaves.SWEEP_SEARCHES} times within {leaves.SWEEP_MINUTES} minutes" in said
    assert f"for over {leaves.LAG} seconds" in said
    assert f"within {alerts.QUIET // 60} minutes is only counted" in said
    assert f"with 2xx within {webhook.PATIENCE} seconds" in said
    assert f"at most {alerts.WAITING} alerts wait" in said
    assert f"a batch (at most {tail.BATCH})" in said
    assert "sent again after 1, 3, 8 and 15 seconds" in said
    assert alerts.RETRIES == (1, 3, 8, 15)


def test_the_fields_that_rules_go_by_are_named() -> None:
    """A city that calls its fields otherwise finds out here."""
    for name in (*fields.ORIGIN_NAMES, *fields.SURNAMES, *fields.DISTRICTS, *fields.IDENTIFYING_CLASSES):
        assert f"`{name}`" in GUIDE, name
