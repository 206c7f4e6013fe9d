"""Joins the rules of the documents that apply into one view.

Rows are the union of the permits' rows, less the denials'. A cell is shown at the finest precision that a matching
permit gives it, and at the coarsest that a matching denial leaves.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from gateway.access import Action
from gateway.catalogue import Resource
from gateway.errors import Code, Reason
from gateway.policy.bundle import Bundle
from gateway.policy.condition import TRUE, Condition, any_of
from gateway.policy.days import on_day, relative
from gateway.policy.document import Budget, Document, Rule
from gateway.policy.masks import Form, Mask
from gateway.policy.view import Cell, Outcome, Pointer, Standing, Step, Test, View

DEFAULT = Reason("default", "deny is the default", "No rule shows it.")


@dataclass(frozen=True, slots=True)
class Occasion:
    """What is to be done with what, for which purpose, on which local day; `certified` are the texts in force."""

    action: Action
    resource: str
    purpose: str
    certified: frozenset[str]
    day: date


@dataclass(frozen=True, slots=True)
class Permit:
    """A yes, with the view that it opens, the rules that gave it and what it obliges to."""

    view: View
    rules: tuple[str, ...]
    documents: tuple[str, ...]
    budgets: tuple[Budget, ...]
    notices: tuple[str, ...]
    reports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """A no, with its code and its reasons; `reports` tag its entry like that of a yes."""

    code: Code
    reasons: tuple[Reason, ...]
    reports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rules that can't be joined, and why."""

    first: Rule
    second: Rule
    why: str


def compose(applying: tuple[Document, ...], occasion: Occasion, bundle: Bundle) -> Permit | Deny:
    """Join the rules of the documents that apply; the same arguments give views that mean the same."""
    about = concerned(applying, occasion)
    rules = [_today(rule, occasion.day, bundle) for rule in about if certified(rule, occasion)]
    reasons = {rule.name: reason(rule, bundle) for rule in about}
    obligations = [document.obligations for document in applying]
    reports = tuple(report for each in obligations for report in each.reports)
    refused = _refused(about, rules, reasons)
    if refused is not None:
        return Deny(*refused, reports)
    permits, denials = [r for r in rules if r.permits], [r for r in rules if not r.permits]
    view = _view(permits, denials, reasons, [path for path, _ in bundle.catalogue.resources[occasion.resource].paths()])
    if occasion.action is Action.READ and not view.cells and not view.pointers:
        return Deny(Code.DENIED_BY_RULE, tuple(dict.fromkeys(view.withheld.values())), reports)
    return Permit(
        view=view,
        rules=tuple(sorted(rule.name for rule in rules)),
        documents=tuple(document.name for document in applying),
        budgets=tuple(budget for each in obligations for budget in each.budgets),
        notices=tuple(notice for each in obligations for notice in each.notices),
        reports=reports,
    )


def concerned(applying: tuple[Document, ...], occasion: Occasion) -> list[Rule]:
    """Return the rules that speak of an occasion, whether or not what they ask to be certified is."""
    return [
        rule
        for document in applying
        for rule in document.rules
        if rule.action is occasion.action
        and rule.resource == occasion.resource
        and (rule.purposes is None or occasion.purpose in rule.purposes)
    ]


def certified(rule: Rule, occasion: Occasion) -> bool:
    """Whether the text that a rule asks for is certified, if it asks for one: only then does it take part."""
    return rule.certification in ("", *occasion.certified)


def _refused(
    about: list[Rule], rules: list[Rule], reasons: dict[str, Reason]
) -> tuple[Code, tuple[Reason, ...]] | None:
    """Say why nothing is given whatever the record; None where a view can be made."""
    total = [rule for rule in rules if rule.denies_rows and rule.rows == TRUE]
    if total:
        return Code.DENIED_BY_RULE, tuple(reasons[rule.name] for rule in total)
    if not any(rule.permits for rule in rules):
        uncertified = tuple(reasons[rule.name] for rule in about if rule.permits)
        return (Code.CERTIFICATION_MISSING, uncertified) if uncertified else (Code.NO_RULE, (DEFAULT,))
    conflict = conflict_among(rules)
    if conflict is not None:
        return Code.POLICY_CONFLICT, (reasons[conflict.first.name], reasons[conflict.second.name])
    return None


def everything(resource: Resource) -> View:
    """Return the view that holds all: for the city's own eyes, and no permit leads to it."""
    own = Reason("everything", "the city's own records", "It is asked by the city itself.")
    shown = Cell((Step(Test.ALWAYS, (), Outcome(Standing.SHOWN, own)),), None)
    paths = frozenset(path for path, _ in resource.paths())
    return View(
        rows=TRUE,
        denials=(),
        cells=dict.fromkeys(paths, shown),
        shown=paths,
        masked=frozenset(),
        varying=frozenset(),
        pseudonyms=frozenset(),
        withheld={},
        opened=TRUE,
        pointers=(),
    )


def conflict_among(rules: Iterable[Rule]) -> Conflict | None:
    """Find two rules that show one field in two forms, or a field in full in the place of another and itself masked.

    Of two forms neither is finer, and a column holds values of one kind.
    """
    first: dict[str, Rule] = {}
    for rule in rules:
        for path, mask in rule.masks.items():
            before = first.setdefault(path, rule)
            if before.masks[path] != mask:
                return Conflict(before, rule, f"'{path}' as {before.masks[path].name} and as {mask.name}")
    for path, rule in first.items():
        other = first.get(rule.masks[path].field) if rule.masks[path].form is Form.OTHER_FIELD else None
        if other is not None:
            return Conflict(other, rule, f"'{rule.masks[path].field}' masked, and in full in the place of '{path}'")
    return None


def reason(rule: Rule, bundle: Bundle) -> Reason:
    """Say why a rule decides: its name, its basis, its own words."""
    authority = bundle.documents[rule.document].authority
    return Reason(rule.name, f"{authority.instrument} (confidence: {authority.confidence})", rule.because)


def _today(rule: Rule, day: date, bundle: Bundle) -> Rule:
    if not relative(rule.rows):
        return rule
    return replace(rule, rows=on_day(rule.rows, day, bundle.catalogue.time_zone))


def _view(permits: list[Rule], denials: list[Rule], reasons: dict[str, Reason], paths: list[str]) -> View:
    cells: dict[str, Cell] = {}
    withheld: dict[str, Reason] = {}
    for path in paths:
        cell = _cell(path, permits, denials, reasons)
        if cell.standings() == {Standing.WITHHELD}:
            withheld[path] = cell.steps[-1].outcome.reason
        else:
            cells[path] = cell
    standing = {
        standing: frozenset(path for path, cell in cells.items() if cell.standings() == {standing})
        for standing in Standing
    }
    return View(
        rows=any_of(dict.fromkeys(rule.rows for rule in permits)),
        denials=tuple(rule.rows for rule in denials if rule.denies_rows),
        cells=cells,
        shown=standing[Standing.SHOWN],
        masked=standing[Standing.MASKED],
        varying=frozenset(cells) - standing[Standing.SHOWN] - standing[Standing.MASKED],
        pseudonyms=frozenset(path for path, cell in cells.items() if cell.mask == Mask(Form.PSEUDONYM)),
        withheld=withheld,
        opened=any_of(dict.fromkeys(rule.rows for rule in permits if not rule.pointer)),
        pointers=tuple(Pointer(rule.rows, rule.pointer, reasons[rule.name]) for rule in permits if rule.pointer),
    )


def _cell(path: str, permits: list[Rule], denials: list[Rule], reasons: dict[str, Reason]) -> Cell:
    """Write the decision of one cell: what withholds it, what opens it, what coarsens it."""
    full = [rule for rule in permits if path in rule.fields]
    masking = [rule for rule in permits if path in rule.masks]
    coarsening = [rule for rule in denials if path in rule.masks]
    mask = next((rule.masks[path] for rule in (*masking, *coarsening)), None)
    withholding = [rule for rule in denials if _withholds(rule, path, mask)]
    every, opened = _rows(permits), _rows(full + masking)
    # A denial that depends on the record is named only where a permit opens the field: elsewhere nothing is told.
    steps = [_denial(rule, Standing.WITHHELD, reasons) for rule in withholding if rule.rows == TRUE]
    if not opened:
        steps.append(Step(Test.ALWAYS, (), Outcome(Standing.WITHHELD, DEFAULT)))
    elif not _cover(opened, every):
        steps.append(Step(Test.NONE_TRUE, opened, Outcome(Standing.WITHHELD, DEFAULT)))
    steps += [_denial(rule, Standing.WITHHELD, reasons) for rule in withholding if rule.rows != TRUE]
    steps += [_denial(rule, Standing.MASKED, reasons) for rule in coarsening]
    if full:
        test = Test.ALWAYS if _cover(_rows(full), every) else Test.ANY_TRUE
        steps.append(Step(test, _rows(full), Outcome(Standing.SHOWN, reasons[full[0].name])))
    steps += [Step(Test.ANY_TRUE, (rule.rows,), Outcome(Standing.MASKED, reasons[rule.name])) for rule in masking]
    reached = _reached(steps)
    masks = any(step.outcome.standing is Standing.MASKED for step in reached)
    return Cell(reached, mask if masks else None)


def _withholds(rule: Rule, path: str, mask: Mask | None) -> bool:
    """Whether a denial withholds a cell: what is shown in another field's place is withheld with that field."""
    substituted = mask is not None and mask.form is Form.OTHER_FIELD and mask.field in rule.fields
    return path in rule.fields or substituted


def _rows(rules: list[Rule]) -> tuple[Condition, ...]:
    return tuple(dict.fromkeys(rule.rows for rule in rules))


def _cover(conditions: tuple[Condition, ...], every: tuple[Condition, ...]) -> bool:
    """Whether some permits open every row of the view between them, so that they need not be asked again."""
    return TRUE in conditions or set(conditions) >= set(every)


def _denial(rule: Rule, standing: Standing, reasons: dict[str, Reason]) -> Step:
    test = Test.ALWAYS if rule.rows == TRUE else Test.NOT_FALSE
    return Step(test, (rule.rows,), Outcome(standing, reasons[rule.name]))


def _reached(steps: list[Step]) -> tuple[Step, ...]:
    """Cut off what can't be reached; of what opens a cell, the last is left when nothing before it held."""
    first = next((at for at, step in enumerate(steps) if step.test is Test.ALWAYS), len(steps) - 1)
    last = replace(steps[first], test=Test.ALWAYS, conditions=())
    return (*steps[:first], last)
