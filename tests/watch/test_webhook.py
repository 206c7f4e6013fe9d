"""A webhook that is down, slow, redirecting or broken: bounded, said, and in no answer's way."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.errors import ConfigurationError
from gateway.telemetry import Telemetry
from gateway.watch import webhook as webhook_module
from gateway.watch.alerts import QUIET, RETRIES, WAITING, Alert, Alerts, Kind
from gateway.watch.webhook import Undelivered, Webhook
from tests import world as worlds
from tests.e2e.servers import free_port
from tests.watch import hooks
from tests.watch.hooks import Hook, await_that
from tests.world import Databases


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook."""
    with hooks.running() as running:
        yield running


@pytest.fixture
def lines() -> StringIO:
    """The lines of telemetry."""
    kept = StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file=kept),
        cache_logger_on_first_use=False,
    )
    return kept


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.now


def said(lines: StringIO, event: str) -> list[dict[str, Any]]:
    """Return the lines of an event."""
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [line for line in found if line["event"] == event]


def alerts(url: str, clock: Clock) -> Alerts:
    """Return alerts that are posted there."""
    return Alerts("gateway.test/log", Webhook(url, None).post, Telemetry(), clock)


def test_an_alert_that_is_refused_is_sent_again_and_given_up_in_the_end(hook: Hook, lines: StringIO) -> None:
    """After the last try it is counted and said, and the next alert has its turn."""
    clock = Clock()
    raised = alerts(hook.url, clock)
    hook.status = 500
    raised.add(Alert(Kind.SWEEP, "fbi", {}))
    raised.add(Alert(Kind.SWEEP, "atf", {}))
    for pause in RETRIES:
        raised.deliver()
        raised.deliver()
        clock.now += pause
    raised.deliver()
    assert [body["client"] for body in hook.bodies] == ["fbi"] * (len(RETRIES) + 1)
    assert [(line["kind"], line["reason"]) for line in said(lines, "alert-undelivered")] == [("sweep", "status 500")]
    hook.status = 200
    raised.deliver()
    assert hook.bodies[-1]["client"] == "atf"
    assert sum(RETRIES) + len(RETRIES) * webhook_module.PATIENCE < 60


def test_what_succeeds_at_a_later_try_is_sent_once(hook: Hook, lines: StringIO) -> None:
    """A webhook that comes back gets what waited."""
    clock = Clock()
    raised = alerts(hook.url, clock)
    hook.status = 503
    raised.add(Alert(Kind.SWEEP, "fbi", {}))
    raised.deliver()
    hook.status = 204
    clock.now += RETRIES[0]
    raised.deliver()
    raised.deliver()
    assert len(hook.bodies) == 2
    assert said(lines, "alert-undelivered") == []


def test_a_redirection_is_not_followed(hook: Hook) -> None:
    """What a webhook's owner points elsewhere does not go there, with its secret."""
    with hooks.running() as elsewhere:
        hook.status, hook.location = 307, elsewhere.url
        with pytest.raises(Undelivered, match="status 307"):
            Webhook(hook.url, None).post(b"{}")
        assert (len(hook.bodies), elsewhere.bodies) == (1, [])


def test_nobody_listening_is_undelivered() -> None:
    """A refused connection is no error of the gateway's."""
    with pytest.raises(Undelivered, match="ConnectionRefusedError"):
        Webhook(f"http://127.0.0.1:{free_port()}/", None).post(b"{}")


def test_a_slow_webhook_is_given_up_and_delays_nobody(
    hook: Hook, lines: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raising takes no time while another thread waits for the webhook."""
    monkeypatch.setattr(webhook_module, "PATIENCE", 0.5)
    hook.seconds = 60
    raised = alerts(hook.url, Clock())
    raised.add(Alert(Kind.SWEEP, "fbi", {}))
    thread = threading.Thread(target=raised.deliver)
    began = time.monotonic()
    thread.start()
    await_that(lambda: bool(hook.bodies), "nothing was posted")
    for number in range(50):
        raised.add(Alert(Kind.SWEEP, f"client-{number}", {}))
    assert time.monotonic() - began < 0.5
    thread.join()
    assert time.monotonic() - began < 5
    assert len(said(lines, "alert")) == 51


def test_an_answer_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the whole does not."""
    monkeypatch.setattr(webhook_module, "PATIENCE", 0.5)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                while not done.wait(0.1):
                    try:
                        peer.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(Undelivered):
            Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/", None).post(b"{}")
        assert time.monotonic() - began < 3
        done.set()
        thread.join()


def test_more_alerts_than_may_wait_are_dropped_and_counted(hook: Hook, lines: StringIO) -> None:
    """The queue is bounded; telemetry has them all the same."""
    raised = alerts(hook.url, Clock())
    for number in range(WAITING + 3):
        raised.add(Alert(Kind.SWEEP, f"client-{number}", {}))
    assert len(said(lines, "alert")) == WAITING + 3
    assert len(said(lines, "alert-undelivered")) == 3
    raised.close()
    assert len(said(lines, "alert-undelivered")) == WAITING + 3
    assert hook.bodies == []


def test_repetitions_of_one_kind_and_client_are_counted_for_a_quarter_of_an_hour(hook: Hook, lines: StringIO) -> None:
    """Another client, and another kind, are told at once; the next one tells how many were not."""
    clock = Clock()
    raised = alerts(hook.url, clock)
    for kind, client in ((Kind.SWEEP, "fbi"), (Kind.SWEEP, "atf"), (Kind.BUDGET_REACHED, "fbi"), (Kind.SWEEP, "fbi")):
        raised.add(Alert(kind, client, {}))
    clock.now += QUIET - 1
    raised.add(Alert(Kind.SWEEP, "fbi", {}))
    assert len(said(lines, "alert")) == 3
    clock.now += 1
    raised.add(Alert(Kind.SWEEP, "fbi", {}))
    assert [line["repeated_before"] for line in said(lines, "alert")] == [0, 0, 0, 2]


def test_the_secret_goes_along_as_a_bearer_token(hook: Hook, tmp_path: Path) -> None:
    """It is read from a file of its own, which nobody else can read."""
    secret = tmp_path / "secret"
    secret.write_text("open-sesame\n")
    secret.chmod(0o644)
    with pytest.raises(ConfigurationError, match="mode 600"):
        Webhook(hook.url, secret)
    secret.chmod(0o600)
    Webhook(hook.url, secret).post(b"{}")
    assert hook.headers[0]["Authorization"] == "Bearer open-sesame"
    assert hook.headers[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize("content", ["", "two words", "line\r\nX-Other: 1"])
def test_a_secret_that_is_no_word_is_refused(hook: Hook, tmp_path: Path, content: str) -> None:
    """It could write headers of its own."""
    secret = tmp_path / "secret"
    secret.write_text(content)
    secret.chmod(0o600)
    with pytest.raises(ConfigurationError, match="one word"):
        Webhook(hook.url, secret)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alert_webhook", "http://alerts.city.example/hook"),
        ("alert_webhook", "ftp://127.0.0.1/"),
        ("alert_webhook", "https://name:word@alerts.city.example/"),
        ("alert_webhook", "alerts"),
        ("alert_webhook", "https://alerts.city.example/a b"),
        ("alert_webhook", "https://alerts.city.example:99999/"),
        ("siem", "syslog://relay"),
        ("siem", "syslog://relay:99999"),
        ("siem", "udp://relay:514"),
        ("siem", "file://relative"),
        ("siem", "file:///"),
        ("siem", "file:///directory/"),
        ("siem", "/var/log/leaves"),
    ],
)
def test_settings_that_lead_nowhere_are_refused(name: str, value: str, tmp_path: Path) -> None:
    """Before anything is sent anywhere."""
    nowhere = Databases("sqlite:///nowhere", "sqlite:///nowhere")
    with pytest.raises(ConfigurationError, match=f"GATEWAY_{name.upper()}"):
        worlds.settings(nowhere, tmp_path, **{name: value})


def test_https_is_not_given_up_for_a_server_without_it() -> None:
    """A server that speaks no TLS gets no alert."""
    with hooks.running() as plain:
        port = plain.url.split(":")[2].split("/")[0]
        with pytest.raises(Undelivered, match="SSL"):
            Webhook(f"https://127.0.0.1:{port}/", None).post(b"{}")
    assert plain.bodies == []
