"""The authorization server: client_credentials with private_key_jwt; metadata and keys."""

from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Payload
from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Request, grants
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from flask import Blueprint, Flask, Response, g, jsonify, request

from gateway import sandbox
from gateway.access import Circumstances, Subject
from gateway.audit.log import LoggedEntry
from gateway.disclosure import Custodian
from gateway.errors import Code, Unauthenticated
from gateway.identity.tokens import (
    LIFETIME,
    AccessTokens,
    AssertionRefused,
    Assertions,
    Authenticated,
    SuspendedAssertion,
    SuspendedClient,
)
from gateway.settings import Settings
from gateway.web.api import circumstances
from gateway.web.parse import UNREADABLE
from gateway.web.problems import note

METHOD = "private_key_jwt"
UNAUTHORIZED = 401
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ["ES256", "EdDSA", "Ed25519"]


class _Registered(ClientMixin):  # type: ignore[misc] # Authlib ships no types
    """A client as Authlib's grant wants to see it."""

    def __init__(self, authenticated: Authenticated) -> None:
        self.authenticated = authenticated

    def get_client_id(self) -> str:
        return self.authenticated.client.id

    def get_allowed_scope(self, scope: str | None) -> str:  # noqa: ARG002 -- what may be seen is the policy's to say
        return ""

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == METHOD and endpoint == "token"


class _ClientCredentials(grants.ClientCredentialsGrant):  # type: ignore[misc] # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS = (METHOD,)


def blueprint(
    app: Flask, settings: Settings, custodian: Custodian, assertions: Assertions, tokens: AccessTokens
) -> Blueprint:
    """Build the routes of the authorization server, and its metadata (RFC 8414, RFC 9728, RFC 7517)."""
    oauth = Blueprint("oauth", __name__)
    server = _server(settings.issuer, app, assertions, tokens)
    marked = sandbox.marked(settings.log_origin)

    @oauth.post("/oauth/token")
    def token() -> Response:
        wrong = _unreadable()
        response: Response = (
            server.create_token_response()
            if wrong is None
            else server.handle_error_response(server.create_oauth2_request(None), InvalidRequestError(wrong))
        )
        response.set_data(marked(response.get_data()))
        came = circumstances()
        if response.status_code == 200 and "authenticated" in g:  # noqa: PLR2004 -- HTTP's own number
            # The entry is durable before the token leaves; a crash in between leaves a token that nobody got.
            authenticated: Authenticated = g.authenticated
            subject = Subject(authenticated.client.id, authenticated.client.agreement, authenticated.officer)
            entry = custodian.note("token", subject, came, len(response.get_data()))
        else:
            entry = refused(came, len(response.get_data()))
            if response.status_code == UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = METHOD
        note(response, entry)
        return response

    def refused(came: Circumstances, bytes_out: int) -> LoggedEntry:
        if "suspended" in g:
            told = SuspendedClient(g.suspended)
            return custodian.count(told, told.subject, came, bytes_out, action="token")
        refusal = Unauthenticated(Code.UNAUTHENTICATED, "The token request was refused.")
        return custodian.count_unknown(refusal, came, bytes_out, action="token")

    @oauth.get("/.well-known/oauth-authorization-server")
    def authorization_server() -> Response:
        return jsonify(
            issuer=settings.issuer,
            token_endpoint=f"{settings.issuer}/oauth/token",
            jwks_uri=f"{settings.issuer}/.well-known/jwks.json",
            response_types_supported=[],
            grant_types_supported=["client_credentials"],
            token_endpoint_auth_methods_supported=[METHOD],
            token_endpoint_auth_signing_alg_values_supported=ALGORITHMS,
        )

    @oauth.get("/.well-known/oauth-protected-resource")
    def protected_resource() -> Response:
        return jsonify(
            resource=settings.resource_server,
            authorization_servers=[settings.issuer],
            bearer_methods_supported=["header"],
        )

    @oauth.get("/.well-known/jwks.json")
    def keys() -> Response:
        return jsonify(tokens.jwks())

    return oauth


def _unreadable() -> str | None:
    """Say what makes a token request unreadable (RFC 6749, sections 3.2 and 5.2)."""
    if request.args:
        return "Parameters belong into the body."
    if request.mimetype != "application/x-www-form-urlencoded":
        return "Send a form."
    try:
        form = request.form
    except UNREADABLE:
        return "The body can't be read."
    if any(len(values) > 1 for values in form.listvalues()):
        return "A parameter stands there twice."
    return None if form.get("grant_type") else "grant_type is required."


class _Server(AuthorizationServer):  # type: ignore[misc] # Authlib ships no types
    """Authlib's server, which is told the address that the settings give: the request's is the client's to choose."""

    def __init__(self, issuer: str) -> None:
        super().__init__()
        self._address = f"{issuer}/oauth/token"

    def create_oauth2_request(self, _: Any) -> OAuth2Request:
        asked = OAuth2Request(request.method, self._address, headers=request.headers)
        asked.payload = FlaskOAuth2Payload(request)
        return asked


def _server(issuer: str, app: Flask, assertions: Assertions, tokens: AccessTokens) -> AuthorizationServer:
    def authenticate(_: Any, asked: Any) -> _Registered:
        """Authenticate by assertion; every failure is invalid_client, as RFC 6749, section 5.2, has it."""
        form = asked.payload.data
        if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("client_assertion"):
            raise InvalidClientError(description=f"Authenticate with {METHOD} (RFC 7523).", status_code=401)
        try:
            g.authenticated = assertions.authenticate(form["client_assertion"])
        except SuspendedAssertion as refusal:
            g.suspended = refusal.subject
            raise InvalidClientError(description=refusal.detail, status_code=401) from None
        except AssertionRefused as refusal:
            raise InvalidClientError(description=refusal.detail, status_code=401) from None
        if form.get("client_id", g.authenticated.client.id) != g.authenticated.client.id:
            raise InvalidClientError(description="client_id and the assertion differ.", status_code=401)
        return _Registered(g.authenticated)

    def issue(**asked: Any) -> dict[str, Any]:
        client: _Registered = asked["client"]
        access_token = tokens.issue(client.authenticated)
        return {"access_token": access_token, "token_type": "Bearer", "expires_in": LIFETIME}

    def save(token: dict[str, Any], asked: Any) -> None:
        """Keep nothing: a token proves itself, and its client is looked up at every request."""

    def no_client(_: str) -> None:
        """Find no client by id alone: only an assertion leads to one."""

    server = _Server(issuer)
    server.init_app(app, query_client=no_client, save_token=save)
    server.register_client_auth_method(METHOD, authenticate)
    server.register_token_generator("default", issue)
    server.register_grant(_ClientCredentials)
    return server
