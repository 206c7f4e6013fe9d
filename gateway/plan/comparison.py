"""A client's test of a column, in SQL."""

from collections.abc import Callable

import sqlalchemy as sa

from gateway.domains import Kind
from gateway.plan.folding import folded
from gateway.plan.shape import Test
from gateway.policy.tables import Bool, Dialect, Value, is_one_of, ordered, parameter

_ORDERING: dict[str, Callable[[Value, Value], Bool]] = {
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
}


def compare(test: Test, column: Value, kind: Kind, dialect: Dialect) -> Bool:
    """Write a test of a column; its values are parameters."""
    bound = [parameter(f"value_{number}", kind, dialect) for number in test.values]
    in_order = ordered(column, kind, dialect)
    match test.operator:
        case "is_null":
            return column.is_(None) if test.null else column.is_not(None)
        case "eq":
            return column == bound[0]
        case "ne":
            return column != bound[0]
        case "in":
            return is_one_of(column, f"value_{test.values[0]}", kind, dialect)
        case "prefix":
            return _between(in_order, bound[0], bound[1])
        case "starts":
            # The ranges are wider than the folded text's, and say nothing more; by them an index is entered.
            reach = (_between(in_order, *ends) for ends in zip(bound[2::2], bound[3::2], strict=True))
            return sa.and_(sa.or_(*reach), _between(ordered(folded(column, dialect), kind, dialect), *bound[:2]))
        case _:
            return _ORDERING[test.operator](in_order, bound[0])


def _between(value: Value, low: Value, high: Value) -> Bool:
    return sa.and_(value >= low, value < high)
