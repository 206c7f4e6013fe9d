"""Posts alerts to a webhook: one request each, bounded in time, never redirected."""

import contextlib
import http.client
import socket
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError

# Seconds for one request, however slowly the other side answers.
PATIENCE = 5


class Undelivered(Exception):  # noqa: N818 -- it says what became of an alert
    """The webhook did not say that it has an alert."""


class Webhook:
    """A URL that takes JSON by POST."""

    def __init__(self, url: str, secret: Path | None) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host, self._port = str(parts.hostname), parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": "arrest-gateway", "Connection": "close"}
        if secret is not None:
            self._headers["Authorization"] = f"Bearer {_read(secret)}"

    def post(self, body: bytes) -> None:
        """Deliver a body; raise Undelivered unless the other side answers with 2xx. A redirection is not followed."""
        connection = self._connection()
        # A timeout counts anew with each byte; this one does not.
        watchdog = threading.Timer(PATIENCE, _cut, (connection,))
        watchdog.start()
        try:
            connection.request("POST", self._path, body, self._headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise Undelivered(type(error).__name__) from None
        finally:
            watchdog.cancel()
            connection.close()
        if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP's own numbers
            raise Undelivered(f"status {status}")

    def _connection(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=PATIENCE, context=context)


def _cut(connection: http.client.HTTPConnection) -> None:
    """End a conversation from outside of its thread."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _read(secret: Path) -> str:
    """Read a bearer token (RFC 6750, section 2.1) from a file that nobody else can read."""
    try:
        if secret.stat().st_mode & 0o077:
            raise ConfigurationError(f"{secret} can be read by others; make it mode 600")
        text = secret.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"the secret {secret} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the secret {secret} is no line of ASCII") from None
    if not text or not text.isprintable() or " " in text:
        raise ConfigurationError(f"the secret {secret} must be one word")
    return text
