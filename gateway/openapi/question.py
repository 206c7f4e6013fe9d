"""What can be asked of one resource through a view: the body of a search, with examples that work."""

from collections.abc import Iterable, Iterator

from gateway.bounds import (
    DEFAULT_PAGE,
    MAX_COSTLY,
    MAX_CURSOR,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_PAGE,
    MAX_SORT,
    MAX_TESTS,
    STARTS_IN_ROWS,
)
from gateway.catalogue import Resource
from gateway.domains import YEARS, Domain, Kind
from gateway.openapi.values import START, Components, Schema, closed, or_null, reference, sample
from gateway.plan.shape import name_parts, operators, related_paths, scalar_paths
from gateway.policy.view import View

_CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR}
_FILTER = (
    "Several members are joined by and. A comparison with what has no value, or shows none, is unknown, and so is its "
    f"contrary; a record is found where the filter is true. At most {MAX_DEPTH} levels deep, with at most {MAX_TESTS} "
    f"comparisons, of which {MAX_COSTLY} by a relation, a name or starts: both names together count as four, and "
    f"starts among related rows as {STARTS_IN_ROWS}."
)
_RELATED = "That any, none or all of the related rows meet a filter on their own fields."
_NAMED = "By how a person's names start, case and accents aside; two names in either order."


def body(resource: Resource, view: View, components: Components) -> Schema:
    """Describe the body of a search."""
    names = list(_showable(resource, view))
    ordered = [path for path, domain in _domains(resource, view) if domain.kind is not Kind.KEY]
    return closed(
        {
            "filter": _filter(resource, view, components),
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
        path, domain = next((each for each in comparable if each[1].codes), comparable[0])
        found["compared"] = {"summary": "One of two values", "value": {"filter": {path: _either(domain)}, "limit": 10}}
        parts = [{path: {"eq": sample(domain)}}, {path: {"is_null": True}}]
        found["joined"] = {"summary": "Parts joined by or", "value": {"filter": {"or": parts}, "limit": 10}}
        found["sorted"] = {
            "summary": "An order, and some of the fields",
            "value": {"sort": [f"-{path}"], "fields": [path], "limit": 10},
        }
    dated = [each for kind in (Kind.TIMESTAMP, Kind.DATE) for each in comparable if each[1].kind is kind]
    for path, domain in dated[:1]:
        ranged = {"filter": {path: {"gte": sample(domain)}}, "sort": [path], "limit": 10}
        found["ranged"] = {"summary": "From a day on", "value": ranged}
    for relation, fields in _comparable_rows(resource, view).items():
        name, domain = next((each for each in fields if each[1].codes), fields[0])
        shown = {"filter": {relation: {"any": {name: _either(domain)}}}, "fields": [f"{relation}.{name}"], "limit": 10}
        found[relation] = {"summary": f"By related {relation}", "value": shown}
    part = next((part for part in name_parts(resource, view) if part != "born"), None)
    if part is not None:
        found["named"] = {"summary": "By a name", "value": {"filter": {"named": {part: "Mar"}}, "limit": 10}}
    return found


def _domains(resource: Resource, view: View) -> Iterator[tuple[str, Domain]]:
    for path in scalar_paths(resource, view):
        domain = view.domain(resource, path)
        if domain is not None:
            yield path, domain


def _either(domain: Domain) -> Schema:
    """Ask for one of two values, where a value can be told at all."""
    if domain.kind is Kind.BOOLEAN:
        return {"eq": True}
    return {"in": list(domain.codes[:2]) or [sample(domain)]}


def _comparable_rows(resource: Resource, view: View) -> dict[str, list[tuple[str, Domain]]]:
    """Return the relations to many that can be filtered by, each with its comparable fields."""
    every = {
        relation: [(name, view.domain(resource, f"{relation}.{name}")) for name in names]
        for relation, names in related_paths(resource, view).items()
    }
    known = {
        relation: [(n, d) for n, d in fields if d is not None and operators(d)] for relation, fields in every.items()
    }
    return {relation: fields for relation, fields in known.items() if fields}


def _showable(resource: Resource, view: View) -> tuple[str, ...]:
    """Return what can be shown: fields, relations to many as a whole, and their fields."""
    many = related_paths(resource, view)
    each = (f"{relation}.{name}" for relation, names in many.items() for name in names)
    return (*scalar_paths(resource, view), *many, *each)


def _filter(resource: Resource, view: View, components: Components) -> Schema:
    name = f"{resource.name}.filter"
    tests = _tests(resource, view, scalar_paths(resource, view), components)
    tests |= _by_name(resource, view, components)
    for relation, names in related_paths(resource, view).items():
        within = _tests(resource, view, (f"{relation}.{each}" for each in names), components)
        if within:
            inner = {path.partition(".")[2]: schema for path, schema in within.items()}
            rows = components.put(
                f"{resource.name}.{relation}.filter", _joined(f"{resource.name}.{relation}.filter", inner)
            )
            quantified = closed({"any": rows, "none": rows, "all": rows})
            tests[relation] = {"description": _RELATED, **quantified, "minProperties": 1}
    if not tests:
        return {"type": "null"}
    return or_null(components.put(name, {"description": _FILTER, **_joined(name, tests)}))


def _tests(resource: Resource, view: View, paths: Iterable[str], components: Components) -> Schema:
    """Describe the comparisons of paths of the view; what has none is left out."""
    domains = ((path, view.domain(resource, path), view.cells[path].mask) for path in paths)
    return {
        # What is compared in the form of another field has that field's values.
        path: components.tests(domain, f"{resource.name}.{path if mask is None else mask.field}")
        for path, domain, mask in domains
        if domain is not None and operators(domain)
    }


def _by_name(resource: Resource, view: View, components: Components) -> Schema:
    """Describe the search by a person's name, as far as the view shows what it needs."""
    parts = name_parts(resource, view)
    texts = [(part, parts[part]) for part in ("family", "given") if part in parts]
    if not texts:
        return {}
    # Two names are looked for in either order, so each must fit both fields.
    most = min(resource.fields[path].domain.most for _, path in texts)
    name = {"type": "string", "maxLength": most, "pattern": START}
    members: Schema = {part: name for part, _ in texts}
    if "born" in parts:
        day, year = components.value(Domain(Kind.DATE), "Date"), components.value(YEARS, "Year")
        members["born"] = {
            "description": "A day or a year; a year before or after is found, too.",
            "anyOf": [day, year],
        }
    needed = [{"required": [part]} for part, _ in texts]
    return {"named": {"description": _NAMED, **closed(members), "anyOf": needed}}


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
