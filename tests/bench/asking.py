"""A gateway in this process, asked through WSGI: nothing stands between a client and the time an answer takes."""

import json
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.app import Gateway
from gateway.identity import tokens
from tests import world
from tests.bench.workload import Call

_FORM = "application/x-www-form-urlencoded"
_SERVER = {
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "QUERY_STRING": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client of a gateway in this process."""

    gateway: Gateway
    name: str
    issuer: str
    key: ec.EllipticCurvePrivateKey
    purpose: str

    def headers(self) -> Mapping[str, str]:
        """Return the headers of a data request, with a token of now."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": world.ASSERTION_TYPE,
            "client_assertion": tokens.assertion(self.name, self.issuer, self.key, "B. Officer"),
        }
        asked = Call("/oauth/token", urllib.parse.urlencode(form).encode())
        _, (_, body) = self.timed(asked, {"CONTENT_TYPE": _FORM})
        return {
            "HTTP_AUTHORIZATION": f"Bearer {json.loads(body)['access_token']}",
            "HTTP_ACCESS_PURPOSE": self.purpose,
            "CONTENT_TYPE": "application/json",
        }

    def timed(self, call: Call, headers: Mapping[str, str]) -> tuple[float, tuple[str, bytes]]:
        """Ask; return the milliseconds that the answer took, its status and its body."""
        body = call.body or b""
        environ: dict[str, Any] = {
            **_SERVER,
            **headers,
            "REQUEST_METHOD": "POST" if body else "GET",
            "PATH_INFO": call.path,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "wsgi.errors": BytesIO(),
        }
        stated: list[str] = []

        def start(status: str, *_: object) -> Any:
            stated.append(status)

        began = time.perf_counter_ns()
        answer: Any = self.gateway.flask.wsgi_app(environ, start)
        content = _whole(answer)
        return (time.perf_counter_ns() - began) / 1e6, (stated[0], content)


def _whole(answer: Any) -> bytes:
    with closing(answer):
        parts: Iterable[bytes] = answer
        return b"".join(parts)
