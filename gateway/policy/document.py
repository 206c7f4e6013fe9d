"""A policy document: what a lawyer writes in one file, read and checked on its own."""

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import PurePath

from gateway.access import Action
from gateway.catalogue import Catalogue, Resource
from gateway.policy import masks
from gateway.policy.cel import Reader
from gateway.policy.condition import TRUE, Condition
from gateway.policy.lists import CONFIDENCE
from gateway.policy.masks import Mask
from gateway.strict_yaml import FileError, Mapping, Place, Text, as_mapping, read


class Status(StrEnum):
    """Whether a document has ever been in force; a proposed one is evaluated only when it is named."""

    HISTORICAL = "historical"
    IN_FORCE = "in-force"
    PROPOSED = "proposed"


class Unit(StrEnum):
    """The spans over which a budget counts."""

    DAY = "day"


@dataclass(frozen=True, slots=True)
class Authority:
    """What a document stands on, and how well that is known."""

    instrument: str
    source: str
    confidence: str
    interpretation: str


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One permit or deny.

    For a permit, `fields` are the paths that it shows and `masks` those that it shows in a form only; `pointer` is the
    office to be asked about a record of which no more is told, and `certification` the text that the agency must have
    certified for the purpose. For a deny, `fields` are the paths that it withholds and `masks` those of which it
    leaves at most the form; neither means that it denies the rows.
    """

    id: str
    document: str
    place: Place
    permits: bool
    action: Action
    resource: str
    purposes: frozenset[str] | None
    rows: Condition
    fields: frozenset[str]
    masks: Dictionary[str, Mask]
    because: str
    pointer: str
    certification: str

    @property
    def name(self) -> str:
        """The rule's full name, `document/rule`."""
        return f"{self.document}/{self.id}"

    @property
    def denies_rows(self) -> bool:
        """Whether the rule takes whole rows out of the view."""
        return not self.permits and not self.fields and not self.masks


@dataclass(frozen=True, slots=True)
class Obligations:
    """What a permit obliges to.

    `budgets` bound how many persons are shown, `notices` are told in every answer, `reports` tag the log's entries.
    """

    budgets: tuple["Budget", ...]
    notices: tuple[str, ...]
    reports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many distinct persons (records, where they do not show the person's id) in the unit."""

    at_most: int
    per: Unit
    document: str


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A policy document; `until` is exclusive, dates are local to the city."""

    name: str
    title: str
    place: Place
    status: Status
    authority: Authority
    starts: date
    until: date | None
    replaces: tuple[str, ...]
    subjects: Condition
    rules: tuple[Rule, ...]
    obligations: Obligations

    def effective(self, day: date) -> bool:
        """Whether the document's dates cover a local day."""
        return self.starts <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys a mapping must have, and which it may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def read(self, spec: Mapping) -> Mapping:
        """Hold a mapping to them."""
        return spec.closed(required=self.required, optional=self.optional)


DOCUMENT = Keys(
    ("policy", "title", "status", "authority", "effective", "subjects", "rules"), ("replaces", "obligations")
)
AUTHORITY = Keys(("instrument", "source", "confidence"), ("interpretation",))
EFFECTIVE = Keys(("from",), ("until",))
PERMIT = Keys(("id", "permit", "resource", "because"), ("purposes", "rows", "show", "mask", "pointer", "certification"))
DENY = Keys(("id", "deny", "resource", "because"), ("purposes", "rows", "fields", "mask"))
OBLIGATION = Keys((), ("persons", "notice", "report"))
BUDGET = Keys(("at-most", "per"))


def load(content: bytes, file: str, catalogue: Catalogue, reader: Reader) -> Document:
    """Read one document; raise FileError."""
    top = read(content, file)
    DOCUMENT.read(top)
    name = top.text("policy")
    if name.value != PurePath(file).stem:
        raise FileError(name.place, f"the policy must be named as its file, '{PurePath(file).stem}'")
    starts, until = _effective(top.mapping("effective"))
    return Document(
        name=name.value,
        title=top.string("title"),
        place=top.place,
        status=Status(top.text("status").one_of(tuple(Status))),
        authority=_authority(top.mapping("authority")),
        starts=starts,
        until=until,
        replaces=tuple(text.value for text in top.texts("replaces")),
        subjects=reader.subjects(top.text("subjects")),
        rules=_rules(top, name.value, catalogue, reader),
        obligations=_obligations(top, name.value),
    )


def _effective(spec: Mapping) -> tuple[date, date | None]:
    EFFECTIVE.read(spec)
    starts = spec.text("from").date()
    until = spec.text("until").date() if "until" in spec.items else None
    if until is not None and until <= starts:
        raise FileError(spec.keys["until"], "'until' is exclusive and must lie after 'from'")
    return starts, until


def _authority(spec: Mapping) -> Authority:
    AUTHORITY.read(spec)
    return Authority(
        instrument=" ".join(spec.string("instrument").split()),
        source=" ".join(spec.string("source").split()),
        confidence=spec.text("confidence").one_of(CONFIDENCE),
        interpretation=" ".join(spec.string("interpretation").split()),
    )


def _rules(top: Mapping, document: str, catalogue: Catalogue, reader: Reader) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for item in top.sequence("rules"):
        rule = _rule(as_mapping(item), document, catalogue, reader)
        if rule.id in rules:
            raise FileError(rule.place, f"the rule '{rule.id}' stands here twice")
        rules[rule.id] = rule
    return tuple(rules.values())


def _rule(spec: Mapping, document: str, catalogue: Catalogue, reader: Reader) -> Rule:
    permits = "permit" in spec.items
    if permits and "deny" in spec.items:
        raise FileError(spec.keys["deny"], "a rule has 'permit' or 'deny', not both")
    (PERMIT if permits else DENY).read(spec)
    resource = catalogue.resources[spec.text("resource").one_of(tuple(catalogue.resources))]
    action = Action(spec.text("permit" if permits else "deny").one_of(tuple(Action)))
    masked = _masks(spec.mapping("mask"), resource)
    named = _paths(spec.texts("show" if permits else "fields"), resource, catalogue)
    twice = sorted(named & masked.keys())
    if twice and not permits:
        raise FileError(spec.keys["mask"], f"'{twice[0]}' is both withheld and masked by this rule; which is meant?")
    fields = named - masked.keys()
    if permits and action is Action.READ and not fields | masked.keys() and "pointer" not in spec.items:
        raise FileError(spec.place, "a permit to read must 'show' or 'mask' at least one field, or be a 'pointer'")
    if action is not Action.READ and (fields or masked or "pointer" in spec.items):
        raise FileError(spec.place, f"only 'read' shows fields; '{action}' is permitted or denied as such")
    return Rule(
        id=spec.string("id"),
        document=document,
        place=spec.place,
        permits=permits,
        action=action,
        resource=resource.name,
        purposes=_purposes(spec, catalogue),
        rows=reader.rows(spec.text("rows"), resource) if "rows" in spec.items else TRUE,
        fields=fields,
        masks=masked,
        because=" ".join(spec.string("because").split()),
        pointer=" ".join(spec.string("pointer").split()),
        certification=spec.string("certification"),
    )


def _purposes(spec: Mapping, catalogue: Catalogue) -> frozenset[str] | None:
    purposes = frozenset(text.one_of(tuple(catalogue.purposes)) for text in spec.texts("purposes"))
    return purposes or None


def _paths(names: tuple[Text, ...], resource: Resource, catalogue: Catalogue) -> frozenset[str]:
    """Expand classes, relations and field names to paths."""
    paths = dict(resource.paths())
    chosen: set[str] = set()
    for name in names:
        if name.value in catalogue.classes:
            chosen |= {path for path, field in paths.items() if field.sensitivity == name.value}
        elif name.value in resource.relations:
            chosen |= {path for path in paths if path.startswith(f"{name.value}.")}
        elif name.value in paths:
            chosen.add(name.value)
        else:
            raise FileError(name.place, f"'{name.value}' is no class, relation or field of {resource.name}")
    return frozenset(chosen)


def _masks(spec: Mapping, resource: Resource) -> dict[str, Mask]:
    paths = dict(resource.paths())
    for path in spec.items:
        if path not in paths:
            raise FileError(spec.keys[path], f"'{path}' is no field of {resource.name}")
    return {path: masks.read(spec.text(path), path, paths[path]) for path in spec.items}


def _obligations(top: Mapping, document: str) -> Obligations:
    """Read the obligations; one that the gateway can't perform is an error, never a promise."""
    budgets, notices, reports = [], [], []
    for item in top.sequence("obligations"):
        obligation = OBLIGATION.read(as_mapping(item))
        if len(obligation.items) != 1:
            raise FileError(obligation.place, "each obligation is one of 'persons', 'notice', 'report'")
        match next(iter(obligation.items)):
            case "persons":
                budgets.append(_budget(obligation.mapping("persons"), document))
            case "notice":
                notices.append(" ".join(obligation.string("notice").split()))
            case _:
                reports.append(obligation.string("report"))
    return Obligations(tuple(budgets), tuple(notices), tuple(reports))


def _budget(spec: Mapping, document: str) -> Budget:
    BUDGET.read(spec)
    at_most = spec.text("at-most").integer()
    if at_most < 1:
        raise FileError(spec.place, "'at-most' must be at least 1")
    return Budget(at_most, Unit(spec.text("per").one_of(tuple(Unit))), document)
