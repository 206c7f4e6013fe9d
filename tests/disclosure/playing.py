"""The property: a session is played in two worlds that look the same to the client; both answer alike, and rightly.

Rightly means that each page holds the records, in the order and with the cells, that the record-side evaluator says.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, assert_never

from werkzeug.test import TestResponse

from gateway.errors import STATUS_AND_TITLE, Code
from gateway.limits import REFUSALS
from gateway.opaque import Holder
from tests.disclosure import sessions, worlds
from tests.disclosure.filters import faults
from tests.disclosure.oracle import Oracle, foresee
from tests.disclosure.regimes import PURPOSES, Regime, regime
from tests.disclosure.sessions import ById, Others, Pages, Plain, Receipt, Resume, Seal, Step
from tests.disclosure.stage import CLIENT, COLLEAGUE, NOTICES, STRANGER, Request, Stage
from tests.disclosure.worlds import Sight, World

MOST_PAGES = 12
ID_LENGTH = 34
# What was planned and compiled for a session serves all of its worlds.
PAIRS = 3


# --- what may differ ----------------------------------------------------------------------------------------------


def _hex(value: str) -> str:
    return re.sub(r"[0-9a-f]", "x", value)


def _jws(value: str) -> str:
    return ".".join("x" * len(part) for part in value.split("."))


# An entry's id is random; a promise signs it, and says the time; the time is the time. Their forms are equal.
RANDOM: dict[str, Callable[[str], str]] = {"Log-Entry": _hex, "Log-Promise": _jws, "Date": lambda _: ""}


def said(answer: TestResponse) -> tuple[object, ...]:
    """Everything that a client gets; of what is random or the time, the form."""
    headers = [(name, RANDOM[name](value) if name in RANDOM else value) for name, value in answer.headers]
    return answer.status_code, headers, answer.data


def receipt_said(answer: TestResponse) -> tuple[object, ...]:
    """Everything that a receipt tells, but where the entry stands in a tree that all clients share."""
    status, headers, data = said(answer)
    if status != 200:
        return status, headers, data
    assert isinstance(headers, list)
    named = [(name, "" if name == "Content-Length" else value) for name, value in headers]
    lines = re.sub(r"^[A-Za-z0-9+/]{43}=\n(?=[A-Za-z0-9+/]{43}=\n)", "", answer.text, flags=re.MULTILINE)
    lines = re.sub(r"^[A-Za-z0-9+/]{43}=$", "(hash)", lines, flags=re.MULTILINE)
    lines = re.sub(r"^(index )?[0-9]+$", r"\g<1>(number)", lines, flags=re.MULTILINE)
    return status, named, re.sub(r"[A-Za-z0-9+/]{80,}=*", lambda found: "x" * len(found[0]), lines)


# --- playing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor that was given: for which question, and how many records had been shown before it."""

    pages: Pages
    text: str
    after: int


@dataclass(slots=True)
class Play:
    """A session under way in both worlds: what was given to the client up to here."""

    stage: Stage
    regime: Regime
    worlds: tuple[World, World]
    oracle: Oracle
    cursors: list[Cursor] = field(default_factory=list)
    entries: list[tuple[str, str]] = field(default_factory=list)
    strange: list[tuple[str, str]] = field(default_factory=list)
    sealed: int = 0

    def take(self, step: Step) -> None:
        """Take one step in both worlds."""
        match step:
            case Pages():
                self._pages(step, None, 0)
            case ById():
                self._by_id(step)
            case Resume():
                self._resume(step)
            case Plain():
                self._plain(step)
            case Receipt():
                self._receipt(step)
            case Seal():
                for side in self.stage.sides:
                    side.made.gateway.publishing.go_on()
                self.sealed = len(self.entries)
            case Others():
                self._others()
            case _:
                assert_never(step)

    def _both(self, request: Request, *, own: bool = True) -> TestResponse:
        """Ask in both worlds, and hold the answers equal."""
        left, right = (side.ask(request) for side in self.stage.sides)
        assert said(left) == said(right)
        if own:
            self.entries.append((left.headers["Log-Entry"], right.headers["Log-Entry"]))
        return left

    def _request(self, purpose: str, path: str, body: dict[str, Any] | None = None, case: str | None = None) -> Request:
        token = self.stage.left.tokens[CLIENT]
        return _request(token, purpose, path, body, case)

    # --- pages ----------------------------------------------------------------------------------------------------

    def _pages(self, step: Pages, cursor: str | None, shown: int) -> None:
        """Turn pages up to the last, or to a refusal."""
        expected: list[Sight] = []
        law = self.oracle.law(step.purpose)
        reasons = self._refusal(step.purpose) or (faults(law, step.body) if law is not None else set())
        if not reasons:
            expected = self.oracle.found(step.purpose, step.body)
        lengths = set()
        for _ in range(MOST_PAGES):
            body = step.body if cursor is None else step.body | {"cursor": cursor}
            answer = self._both(self._request(step.purpose, "/v1/cases/search", body, step.case))
            page = expected[shown : shown + step.body.get("limit", 50)]
            told_of = expected[shown : shown + len(page) + 1]
            if not reasons and not self.oracle.charge(step.purpose, step.body, told_of):
                reasons = {Code.BUDGET_SPENT}
            if reasons:
                _refused(answer, reasons)
                return
            assert answer.status_code == 200, answer.text
            told = answer.get_json()
            self.oracle.check(step.purpose, step.body, told, told["records"], page)
            shown += len(page)
            cursor = told["next"]
            assert (cursor is None) == (shown == len(expected))
            if cursor is None:
                return
            lengths.add(len(cursor))
            self.cursors.append(Cursor(step, cursor, shown))
            assert len(lengths) == 1

    def _closed(self, purpose: str) -> set[Code]:
        if purpose not in self.regime.agreement.purposes:
            return {Code.PURPOSE_NOT_AGREED}
        closed = self.oracle.law(purpose) is None
        return {Code.NO_RULE, Code.DENIED_BY_RULE, Code.CERTIFICATION_MISSING} if closed else set()

    def _refusal(self, purpose: str) -> set[Code]:
        """Return how every question for records is refused, if it is, before anything is asked of the database."""
        return self._closed(purpose) or ({Code.BUDGET_SPENT} if self.oracle.over else set())

    def _resume(self, step: Resume) -> None:
        if not self.cursors:
            return
        given = self.cursors[step.number % len(self.cursors)]
        pages = Pages(given.pages.purpose, given.pages.body | {"limit": step.limit}, None)
        if step.kind == "again":
            self._pages(pages, given.text, given.after)
            return
        text, body = given.text, pages.body
        match step.kind:
            case "edited":
                at = step.number % len(text)
                text = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            case "for another question":
                body = {**body, "fields": [*body.get("fields", []), "code"][-1:], "sort": ["-code", "grade"]}
            case "another client's":
                text = self._colleagues(pages) or "A" * len(text)
            case _:
                text = "A" * 40
        answer = self._both(self._request(pages.purpose, "/v1/cases/search", body | {"cursor": text}))
        law = self.regime.laws[pages.purpose]
        wrong = {Code.CURSOR_INVALID} | (faults(law, body) if body is not pages.body else set())
        _refused(answer, self._refusal(pages.purpose) or wrong)

    def _colleagues(self, pages: Pages) -> str | None:
        """Let another client ask the same, and return its cursor."""
        token = self.stage.left.tokens[COLLEAGUE]
        answer = self.stage.left.ask(_request(token, pages.purpose, "/v1/cases/search", pages.body))
        found: str | None = answer.get_json().get("next")
        return found

    # --- records --------------------------------------------------------------------------------------------------

    def _by_id(self, step: ById) -> None:
        other = next(purpose for purpose in PURPOSES if purpose != step.purpose)
        holders = {
            "another client's": Holder(COLLEAGUE, step.purpose, "cases"),
            "for another purpose": Holder(CLIENT, other, "cases"),
            "of a person": Holder(CLIENT, step.purpose, "person"),
        }
        # Of the keys of both worlds, some are of records that are hidden in the one, and missing in the other.
        keys = sorted({record.id for world in self.worlds for record in world.records})
        key = keys[step.key % len(keys)] if step.key % 5 else step.key
        text = self.stage.ids.conceal(key, holders.get(step.kind, Holder(CLIENT, step.purpose, "cases")))
        assert len(text) == ID_LENGTH
        if step.kind == "edited":
            text = text[:-2] + ("A" if text[-2] != "A" else "B") + text[-1]
        if step.kind == "no id":
            text = str(key)
        answer = self._both(self._request(step.purpose, f"/v1/cases/{text}"))
        closed = self._refusal(step.purpose)
        seen = [] if closed or step.kind != "own" else [s for s in self.oracle.seen[step.purpose] if s.id == key]
        if closed or not seen:
            _refused(answer, closed or {Code.RECORD_NOT_FOUND})
        elif not self.oracle.charge(step.purpose, {}, seen):
            _refused(answer, {Code.BUDGET_SPENT})
        else:
            assert answer.status_code == 200, answer.text
            told = answer.get_json()
            self.oracle.check(step.purpose, {}, told, [told["record"]], seen)

    # --- the rest -------------------------------------------------------------------------------------------------

    def _plain(self, step: Plain) -> None:
        purpose = min(self.regime.agreement.purposes)
        headers = dict(self._request(purpose, step.path, None if step.content is None else {}).headers)
        given = tuple((name, value) for name, value in {**headers, **dict(step.headers)}.items() if value is not None)
        answer = self._both(Request(step.method, step.path, given, step.content), own=False)
        if step.code is None:
            assert answer.status_code == 200, answer.text
        else:
            closed = self._refusal(purpose) if step.code is Code.RECORD_NOT_FOUND else set()
            _refused(answer, closed or {step.code})

    def _receipt(self, step: Receipt) -> None:
        pairs = {"own": self.entries, "another client's": self.strange}.get(step.kind, [])
        number = step.number % len(pairs) if pairs else 0
        identifiers = pairs[number] if pairs else ("e" * 32, "e" * 32)
        requests = (self._request("looking", f"/v1/entries/{identifier}") for identifier in identifiers)
        left, right = (side.ask(request) for side, request in zip(self.stage.sides, requests, strict=True))
        assert receipt_said(left) == receipt_said(right)
        if pairs is not self.entries or not pairs:
            _refused(left, {Code.ENTRY_NOT_FOUND})
        elif number >= self.sealed:
            _refused(left, {Code.ENTRY_NOT_SEALED})
        else:
            assert left.status_code == 200

    def _others(self) -> None:
        asked: list[list[str]] = [[], []]
        for side, world, entries in zip(self.stage.sides, self.worlds, asked, strict=True):
            for number, body in enumerate(world.others):
                token = side.tokens[(STRANGER, COLLEAGUE)[number % 2]]
                answer = side.ask(_request(token, "looking", "/v1/cases/search", body))
                entries.append(answer.headers["Log-Entry"])
        self.strange += list(zip(*asked, strict=False))


def _request(
    token: str, purpose: str, path: str, body: dict[str, Any] | None = None, case: str | None = None
) -> Request:
    headers = {"Authorization": f"Bearer {token}", "Access-Purpose": purpose}
    headers |= {} if case is None else {"Access-Case": case}
    if body is None:
        return Request("GET", path, tuple(headers.items()))
    headers["Content-Type"] = "application/json"
    return Request("POST", path, tuple(headers.items()), json.dumps(body).encode())


def _refused(answer: TestResponse, codes: set[Code]) -> None:
    assert answer.content_type == "application/problem+json"
    told = answer.get_json()
    assert told.get("code") in codes, (told, codes)
    assert answer.status_code == told["status"] == STATUS_AND_TITLE[Code(told["code"])][0]
    assert told.keys() <= {"type", "title", "status", "code", "detail", "reasons"}


def play(chance: Random, stage: Stage) -> None:
    """Make a regime and a session, and play it in some pairs of worlds that look the same."""
    law = regime(chance)
    lefts = [worlds.world(chance, stage.dialect, law) for _ in range(PAIRS)]
    oracles = [foresee(CLIENT, law, stage.ids, left, REFUSALS) for left in lefts]
    seen = {purpose: [sight for oracle in oracles for sight in oracle.seen[purpose]] for purpose in law.laws}
    steps = list(sessions.session(chance, law, seen))
    # What the day holds already is part of the worlds; it is not drawn, so that examples stay what they were.
    refusals = (REFUSALS, 2, 1)[len(steps) % 3]
    for left, first in zip(lefts, oracles, strict=True):
        oracle = replace(first, left=refusals)
        right = worlds.elsewhere(chance, law, left)
        assert oracle.seen == foresee(CLIENT, law, stage.ids, right, refusals).seen
        for side, world in zip(stage.sides, (left, right), strict=True):
            side.set(law, world, NOTICES[STRANGER][: chance.randint(0, 3)], refusals)
        playing = Play(stage, law, (left, right), oracle)
        for step in steps:
            playing.take(step)
