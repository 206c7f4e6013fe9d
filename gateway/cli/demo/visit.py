"""The demo's requests: what federal programs do, over real HTTP, each answer checked."""

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from gateway import keys as key_files
from gateway.cli.demo.cast import Client
from gateway.cli.demo.step import expect
from gateway.identity import tokens
from gateway.opaque import Holder, Ids
from gateway.settings import Settings

MISSING = 999_999_999
OK, BAD_REQUEST, NOT_FOUND, TOO_MANY = 200, 400, 404, 429
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Read the body."""
        read: dict[str, Any] = json.loads(self.body)
        return read


class Program:
    """A federal agency's program: its token, and its requests."""

    def __init__(self, settings: Settings, client: Client, officer: str) -> None:
        self._host = settings.bind
        self._client = client
        assertion = tokens.assertion(client.id, settings.issuer, key_files.read_private(client.key), officer)
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self._send("POST", "/oauth/token", urllib.parse.urlencode(form), kind)
        expect(f"{client.id} gets a token by private_key_jwt", holds=reply.status == OK)
        self._token = reply.json()["access_token"]

    def get(self, path: str) -> Reply:
        """Ask with GET."""
        return self._send("GET", path, None, {})

    def search(self, **body: Any) -> Reply:
        """Search the arrests."""
        return self._send("POST", "/v1/arrests/search", json.dumps(body), {"Content-Type": "application/json"})

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Reply:
        if hasattr(self, "_token"):
            headers = {**headers, "Authorization": f"Bearer {self._token}", "Access-Purpose": self._client.purpose}
        connection = http.client.HTTPConnection(self._host, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()


def ice(settings: Settings, client: Client, hidden: int) -> None:
    """Walk ICE's road: search, page, one record, a hidden and a missing one, a refused filter, the throttle."""
    program = Program(settings, client, "Officer One")
    first = program.search(limit=2, sort=["-arrested_at"])
    expect("it searches: a page of 2 records", holds=first.status == OK and len(first.json()["records"]) == 2)
    second = program.search(limit=2, sort=["-arrested_at"], cursor=first.json()["next"])
    ids = {record["id"] for page in (first, second) for record in page.json()["records"]}
    expect("it pages: the next page holds 2 others", holds=second.status == OK and len(ids) == 4)
    record = first.json()["records"][0]
    one = program.get(f"/v1/arrests/{record['id']}")
    expect("it reads one record by its opaque id", holds=one.status == OK and one.json()["record"] == record)
    expect("of the date of birth it sees the year alone", holds=isinstance(record["date_of_birth"], int))
    expect(
        "it sees no home address and no place of birth",
        holds=record.keys().isdisjoint({"home_address", "place_of_birth"}),
    )
    _hidden_and_missing(settings, program, client, hidden)
    refused = program.search(filter={"place_of_birth": {"ne": "PHILADELPHIA, PA"}})
    expect(f"a filter on place of birth is refused: {refused.json()['code']}", holds=refused.status == BAD_REQUEST)
    asked = 0
    while asked < 100 and program.search(limit=1).status != TOO_MANY:
        asked += 1
    expect(f"after {asked} more requests it is throttled ({TOO_MANY})", holds=0 < asked < 100)
    click.echo(_example(record))


def _hidden_and_missing(settings: Settings, program: Program, client: Client, hidden: int) -> None:
    """Ask for a record that exists and is hidden: its id is made here with the city's key, as no client can."""
    ids = Ids(key_files.read(settings.keys, settings.keys_passphrase).ids)
    holder = Holder(client.id, client.purpose, "arrests")
    answers = [program.get(f"/v1/arrests/{ids.conceal(key, holder)}") for key in (hidden, MISSING)]
    same = answers[0].body == answers[1].body and _stable(answers[0]) == _stable(answers[1])
    expect("a hidden record and a missing one get the same 404", holds=answers[0].status == NOT_FOUND and same)


def _stable(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name not in ("Date", "Log-Entry", "Log-Promise")}


def fbi(settings: Settings, client: Client) -> None:
    """Ask the same as the FBI, whose assumed terms show other rows and fields."""
    program = Program(settings, client, "Agent Two")
    page = program.search(limit=2, sort=["-arrested_at"])
    expect("the same search as the FBI: 2 other records", holds=page.status == OK and len(page.json()["records"]) == 2)
    record = page.json()["records"][0]
    expect("with the whole date of birth, and no home address", holds="home_address" not in record and "ssn" in record)


def _example(record: dict[str, Any]) -> str:
    shown = {name: value for name, value in record.items() if name != "charges"}
    charges = len(record.get("charges", []))
    return f"  What ICE saw of one record (with {charges} charges): {json.dumps(shown, ensure_ascii=False)}"
