"""What can be asked of one resource through a view: the body of a search, with examples that work."""

from collections.abc import Iterator

from gateway.bounds import DEFAULT_PAGE, MAX_CURSOR, MAX_FIELDS, MAX_PAGE, MAX_SORT, MAX_TESTS
from gateway.catalogue import Resource
from gateway.domains import Domain, Kind
from gateway.openapi.values import Components, Schema, closed, or_null, reference, sample
from gateway.plan.shape import operators, related_paths, scalar_paths
from gateway.policy.view import View

_CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR}
_FILTER = (
    "Several members are joined by and. A comparison with what has no value, or shows none, is unknown, and so is its "
    "contrary; a record is found where the filter is true. At most 8 levels deep, with at most 50 comparisons."
)


def body(resource: Resource, view: View, components: Components) -> Schema:
    """Describe the body of a search."""
    names = list(_named_whole(resource, view))
    ordered = [path for path, domain in _domains(resource, view) if domain.kind is not Kind.KEY]
    return closed(
        {
            "filter": or_null(_filter(resource, view, components)),
            "sort": {
                "description": "The order of the records; a minus is for descending. Nulls come last both ways.",
                **_sort(ordered),
            },
            "fields": {
                "description": "What each record shows; everything, if it is left out or empty.",
                **_list_of(names, MAX_FIELDS),
                "uniqueItems": True,
            },
            "limit": {
                "description": "The most records of a page.",
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_PAGE,
                "default": DEFAULT_PAGE,
            },
            "cursor": {
                "description": "The `next` of an earlier answer to the same question; `limit` may differ.",
                **or_null(_CURSOR),
            },
        }
    )


def cursor() -> Schema:
    """Describe a cursor as answers give it."""
    return dict(_CURSOR)


def examples(resource: Resource, view: View) -> Schema:
    """Return bodies that are answered: each with what it shows."""
    comparable = [(path, domain) for path, domain in _domains(resource, view) if operators(domain)]
    found: Schema = {"page": {"summary": "The first records", "value": {"limit": 10}}}
    if comparable:
        path, domain = comparable[0]
        found["compared"] = {"summary": "A field that has a value", "value": {"filter": {path: {"is_null": False}}}}
        equal: Schema = {path: {"eq": sample(domain)}}
        either = [equal, {"not": equal}]
        found["joined"] = {"summary": "Parts joined by or", "value": {"filter": {"or": either}, "limit": 10}}
        found["sorted"] = {
            "summary": "An order, and some of the fields",
            "value": {"sort": [f"-{path}"], "fields": [path], "limit": 10},
        }
    for path, domain in comparable:
        if "gte" in operators(domain) and domain.kind in (Kind.DATE, Kind.TIMESTAMP):
            ranged = {"filter": {path: {"gte": sample(domain)}}, "sort": [path], "limit": 10}
            found["ranged"] = {"summary": "From a day on", "value": ranged}
            break
    return found


def _domains(resource: Resource, view: View) -> Iterator[tuple[str, Domain]]:
    for path in scalar_paths(resource, view):
        domain = view.domain(resource, path)
        if domain is not None:
            yield path, domain


def _named_whole(resource: Resource, view: View) -> Iterator[str]:
    yield from scalar_paths(resource, view)
    yield from related_paths(resource, view)


def _filter(resource: Resource, view: View, components: Components) -> Schema:
    name = f"{resource.name}.filter"
    fields = {
        path: components.tests(domain, f"{resource.name}.{path}")
        for path, domain in _domains(resource, view)
        if operators(domain)
    }
    return components.put(name, {"description": _FILTER, **_joined(name, fields)})


def _joined(name: str, tests: Schema) -> Schema:
    """Describe a filter over tests, with parts that are such filters again."""
    several = {"type": "array", "items": reference(name), "minItems": 1, "maxItems": MAX_TESTS}
    joins = {"and": several, "or": several, "not": reference(name)}
    return {**closed(joins | tests), "minProperties": 1, "maxProperties": MAX_TESTS}


def _sort(paths: list[str]) -> Schema:
    both = [name for path in paths for name in (path, f"-{path}")]
    once = [{"contains": {"enum": [path, f"-{path}"]}, "minContains": 0, "maxContains": 1} for path in paths]
    return _list_of(both, MAX_SORT) | ({"allOf": once} if once else {})


def _list_of(names: list[str], most: int) -> Schema:
    """Describe a list of names; where there are none, an empty one."""
    items: Schema = {"items": {"enum": names}} if names else {}
    return {"type": "array", **items, "maxItems": most if names else 0}
