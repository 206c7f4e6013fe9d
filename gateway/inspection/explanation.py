"""Explains an entry in words: what was asked, what decided and why, what was given, and whether it would be today."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.activation.statement import StatementError
from gateway.audit.entry import ASKED
from gateway.errors import STATUS_AND_TITLE, Code, ConfigurationError
from gateway.inspection.grounds import grounds_of
from gateway.inspection.inspector import Inspector
from gateway.inspection.sight import Condition, Part, Sight
from gateway.policy.bundle import Bundle
from gateway.policy.compose import reason
from gateway.policy.explain import Explanation, FieldExplained
from gateway.rederivation import NOT_BY_THE_BUNDLE, Rederived, rederive, under
from gateway.strict_yaml import FileError

_ALSO = {
    "certified": "Certified by the agency for this purpose",
    "with": "Rehearsal with proposed documents",
    "rehearsal": "Rehearsal of the day",
    "further": "It stands for so many more of its kind in the same minute",
}
# A process takes a new statement into force within GATEWAY_POLICY_AGE, which is at most this.
_LAG = timedelta(seconds=300)
SAME, DIFFERS, NOT_DERIVED = "same", "differs", "not derived: no bundle decided it"
# What every leaf has, or is told in its own place.
_COMMON = {
    "version",
    "id",
    "time",
    "gateway",
    "action",
    "decision",
    "outcome",
    "commitments",
    "bundle",
    "rules",
    "sandbox",
    *_ALSO,
}


@dataclass(frozen=True, slots=True)
class Explained:
    """An entry in words, part by part.

    `verdict` says whether the bundle then in force gives the same decision again; `differences` name where it does not.
    """

    entry: str
    asked: tuple[str, ...]
    decided: tuple[str, ...]
    given: tuple[str, ...]
    verdict: str
    differences: tuple[str, ...]
    today: tuple[str, ...]


def explained(inspector: Inspector, sight: Sight) -> Explained:
    """Explain an entry that was looked at or opened; raise ConfigurationError for one that was changed."""
    leaf = sight.leaf
    if not sight.place.whole:
        raise ConfigurationError(f"the entry {leaf.get('id')} was changed: run 'gateway audit verify'")
    bundle = _bundle(inspector, leaf)
    derived = None if bundle is None else _rederived(leaf, bundle)
    named = bundle is None and "bundle" in leaf
    missing = ("the bundle that it names is not in the store, or was changed there",) if named else ()
    differences = missing if derived is None else (*derived.differences, *_in_force(inspector, leaf))
    verdict = DIFFERS if differences else NOT_DERIVED if derived is None else SAME
    return Explained(
        entry=leaf["id"],
        asked=tuple(_asked(leaf, bundle, sight.parts)),
        decided=tuple(_decided(inspector, leaf, bundle, derived)),
        given=tuple(_given(leaf, derived)),
        verdict=verdict,
        differences=differences,
        today=tuple(_today(inspector, leaf, derived)),
    )


def _bundle(inspector: Inspector, leaf: dict[str, Any]) -> Bundle | None:
    try:
        return inspector.register.bundle(leaf["bundle"]) if "bundle" in leaf else None
    except (StatementError, FileError):
        return None


def _rederived(leaf: dict[str, Any], bundle: Bundle) -> Rederived | None:
    decided_by_it = leaf["action"] == "read" and {"purpose", "resource"} <= leaf.keys()
    return rederive(leaf, bundle) if decided_by_it and leaf["outcome"] not in NOT_BY_THE_BUNDLE else None


def _in_force(inspector: Inspector, leaf: dict[str, Any]) -> Iterator[str]:
    """Hold the bundle that an entry names against what the statements put in force at its time."""
    at = datetime.fromisoformat(leaf["time"])
    # Clocks of machines differ a little, and a process follows a statement within its time.
    turns = inspector.register.history().turns(at + _LAG)
    ends = (*(turn.since for turn in turns[1:]), datetime.max.replace(tzinfo=UTC))
    spans = zip(turns, ends, strict=False)  # of no turns there is no end
    in_force = [turn.bundle for turn, end in spans if turn.since <= at + _LAG and end > at - _LAG]
    if leaf["bundle"] not in in_force:
        yield "bundle: by the statements another bundle was in force at that time"


# --- what was asked -----------------------------------------------------------------------------------------


def _asked(leaf: dict[str, Any], bundle: Bundle | None, parts: Sequence[Part]) -> Iterator[str]:
    at = leaf["time"] if bundle is None else f"{leaf['time']} ({_local(leaf['time'], bundle)} in the city)"
    if "mission" not in leaf:
        yield f"At {at}: {leaf['action']}, {_by_nobody(leaf)}."
        yield from (f"{name}: {_written(leaf[name])}" for name in leaf if name not in _COMMON)
    else:
        made = leaf["agreement"]
        yield (
            f"At {at} the client {leaf['client']} of {leaf['agency']}, {leaf['component']} (ORI {leaf['ori']}, mission "
            f"{leaf['mission']}), under the agreement {made['id']}, version {made['version']}, {made['state']}."
        )
    if leaf["action"] == "read" and "bundle" in leaf:
        yield f"It asked for: {leaf.get('resource', 'what is no resource of the catalogue')}."
    if "purpose" in leaf:
        purposes = {} if bundle is None else bundle.catalogue.purposes
        yield f"Purpose: {leaf['purpose']} ({purposes.get(leaf['purpose'], 'a word of that day')})."
    if leaf["action"] == "read" and "resource" in leaf:
        filtered, by = ", ".join(leaf.get("filtered", ())), ", ".join(leaf.get("sorted_by", ()))
        yield f"Filtered by: {filtered or 'no field of the catalogue'}; sorted by: {by or 'no field'}."
    if "sandbox" in leaf:
        yield "It is of a sandbox: every record is invented."
    for name in ("certified", "with", "rehearsal", "further"):
        if name in leaf:
            yield f"{_ALSO[name]}: {leaf[name] if isinstance(leaf[name], str | int) else ', '.join(leaf[name])}."
    sealed = [part for part in parts if part.condition is Condition.SEALED]
    if sealed:
        yield f"{len(sealed)} openings stay sealed; --open shows what they hold."
    for part in parts:
        if part.condition is not Condition.SEALED:
            yield _opened(part)


def _by_nobody(leaf: dict[str, Any]) -> str:
    return (
        "of someone whom the gateway did not know"
        if leaf["action"] in ASKED
        else "an act of the city's own, or of the gateway"
    )


def _local(time: str, bundle: Bundle) -> str:
    return f"{datetime.fromisoformat(time).astimezone(bundle.catalogue.time_zone):%Y-%m-%d %H:%M:%S}"


def _opened(part: Part) -> str:
    if part.condition is Condition.OPENED:
        return f"Sealed: {part.kind}: {_written(part.value)}"
    return f"Sealed: an opening that is {part.condition}"


def _written(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{name}: {_written(each)}" for name, each in value.items() if each not in (None, [], ""))
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case _:
            return str(value)


# --- what decided -------------------------------------------------------------------------------------------


def _decided(
    inspector: Inspector, leaf: dict[str, Any], bundle: Bundle | None, derived: Rederived | None
) -> Iterator[str]:
    outcome = leaf["outcome"]
    if outcome in iter(Code):
        status, title = STATUS_AND_TITLE[Code(outcome)]
        yield f"Refused with {status} {outcome}: {title}."
    else:
        yield f"{'Permitted' if leaf['decision'] == 'permit' else leaf['decision'].capitalize()}: {outcome}."
    if outcome == Code.RECORD_NOT_FOUND:
        yield "A record that is hidden from this client and one that does not exist leave the same leaf, on purpose."
    if outcome == Code.UNKNOWN_FIELD and derived is not None:
        yield from _not_shown(leaf, derived)
    if outcome in NOT_BY_THE_BUNDLE:
        yield from grounds_of(inspector, leaf)
        return
    rules = {} if bundle is None else {r.name: r for document in bundle.documents.values() for r in document.rules}
    for name in leaf.get("rules", ()):
        if bundle is not None and name in rules:
            why = reason(rules[name], bundle)
            yield f"Rule {name}: {why.because} [{why.basis}]"
        else:
            yield f"Rule {name}: {'no rule shows it' if name == 'default' else 'its words are not at hand'}."


def _not_shown(leaf: dict[str, Any], derived: Rederived) -> Iterator[str]:
    """Say by which rule what was filtered or sorted by is withheld; a field may have been asked for as well."""
    used = {*leaf.get("filtered", ()), *leaf.get("sorted_by", ())}
    for each in derived.explanation.fields:
        if each.field in used and each.standing == "withheld":
            yield f"{each.field} is withheld{_why(each)}"


# --- what was given -----------------------------------------------------------------------------------------


def _given(leaf: dict[str, Any], derived: Rederived | None) -> Iterator[str]:
    if leaf["outcome"] != "disclosed" or "records" not in leaf:
        yield "No record was disclosed."
        return
    yield f"{leaf['records']} records of {leaf['persons']} persons, in a view that had"
    yield f"shown: {', '.join(leaf.get('shown', ())) or 'nothing'}"
    yield f"masked: {', '.join(f'{path} as {form}' for path, form in leaf.get('masked', {}).items()) or 'nothing'}"
    if "varying" in leaf:
        yield f"shown, masked or withheld as the record is: {', '.join(leaf['varying'])}"
    withheld = set(leaf.get("withheld", ()))
    reasons = {} if derived is None else {each.field: each for each in derived.explanation.fields}
    groups: dict[str, list[str]] = {}
    for path in sorted(withheld):
        groups.setdefault(_why(reasons.get(path)), []).append(path)
    for why, paths in groups.items():
        yield f"withheld: {', '.join(paths)}{why}"
    yield "Of these, the question may have chosen some: its fields are in the sealed part."


def _why(field: FieldExplained | None) -> str:
    return "" if field is None else f" -- by {field.rule}: {field.because} [{field.basis}]"


# --- today --------------------------------------------------------------------------------------------------


def _today(inspector: Inspector, leaf: dict[str, Any], derived: Rederived | None) -> Iterator[str]:
    if derived is None:
        return
    try:
        bundle = inspector.bundle_in_force()
    except (ConfigurationError, FileError) as error:
        yield f"The policy of today can't be read: {error}."
        return
    day = inspector.clock().astimezone(bundle.catalogue.time_zone).date()
    if leaf["resource"] not in bundle.catalogue.resources:
        yield f"The policy of today has no resource {leaf['resource']}."
        return
    _, now = under(leaf, bundle, day)
    changes = list(_changes(derived.explanation, now))
    same = "the same bundle" if bundle.digest == leaf["bundle"] else "another bundle"
    yield f"On {day}, under {same}, for the same client as it then stood: {'' if changes else 'the same.'}".rstrip()
    yield from changes


def _changes(then: Explanation, now: Explanation) -> Iterator[str]:
    if (then.decision, then.code) != (now.decision, now.code):
        yield f"by the rules: {_decision(then)} then, {_decision(now)} now"
    before, after = ({rule.rule for rule in each.rules} for each in (then, now))
    for rule in sorted(before ^ after):
        yield f"rule {rule}: {'no longer takes part' if rule in before else 'takes part now'}"
    for reason_now in now.reasons:
        if reason_now not in then.reasons:
            yield f"because {reason_now}"
    if now.decision == then.decision == "permit":
        old, new = _standings(then), _standings(now)
        for path in sorted(old.keys() | new.keys()):
            was, is_ = old.get(path, "no field"), new.get(path, "no field")
            if was != is_:
                yield f"{path}: {was} then, {is_} now"


def _decision(explanation: Explanation) -> str:
    return explanation.decision + (f" ({explanation.code})" if explanation.code else "")


def _standings(explanation: Explanation) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for each in explanation.fields:
        found.setdefault(each.field, []).append(each.standing + (f" as {each.form}" if each.form else ""))
    return {path: " or ".join(dict.fromkeys(standings)) for path, standings in found.items()}
