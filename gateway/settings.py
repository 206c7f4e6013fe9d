"""Settings: read once from the environment, frozen, refused when unknown, missing or unsafe."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from limits import parse_many
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway import sandbox as marks
from gateway.errors import ConfigurationError

PREFIX = "GATEWAY_"
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings):
    """Where everything is and how much is allowed; each is the variable GATEWAY_NAME."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    arrest_url: Annotated[str, Field(description="the arrest database, by a role that may only SELECT")]
    store_url: Annotated[str, Field(description="the gateway's own database")]
    keys: Annotated[Path, Field(description="the directory of key files")]
    keys_passphrase: Annotated[Path, Field(description="the file with the passphrase of the key files")]
    policies: Annotated[Path, Field(description="the directory of the policy's files, for commands")] = Path("policies")
    approvers: Annotated[Path, Field(description="the OpenSSH file of who may sign policies into force")]
    policy_age: Annotated[int, Field(ge=2, le=300, description="seconds that a policy holds unconfirmed")] = 10
    issuer: Annotated[str, Field(description="the URL by which clients know the authorization server")]
    audience: Annotated[str | None, Field(description="the URL by which clients know the API; else the issuer")] = None
    seal_delay: Annotated[int, Field(ge=2, le=604800, description="seconds within which entries are sealed")] = 86400
    log_origin: Annotated[str, Field(description="the name of the log, without a scheme", min_length=1)]
    log_public: Annotated[Path, Field(description="the directory of the log's public part, one for each machine")]
    bind: Annotated[str, Field(description="address and port to serve on")] = "127.0.0.1:8000"
    workers: Annotated[int, Field(ge=1, le=64, description="server processes")] = 1
    threads: Annotated[int, Field(ge=1, le=64, description="threads of each process")] = 8
    limiter_storage: Annotated[str, Field(description="memory:// for one process, else redis://...")] = "memory://"
    peer_limit: Annotated[str, Field(description="requests of one peer address")] = "600/minute"
    client_limit: Annotated[str, Field(description="requests of one client")] = "300/minute"
    trusted_proxies: Annotated[int, Field(ge=0, le=3, description="proxies in front that set X-Forwarded-For")] = 0
    query_timeout: Annotated[int, Field(ge=1, le=60, description="seconds that a query may take")] = 5
    answer_grid: Annotated[
        int, Field(ge=0, le=1000, description="milliseconds between moments of answers; 0 for none")
    ] = 0
    alert_webhook: Annotated[str, Field(description="the URL that alerts are posted to; none if empty")] = ""
    alert_secret: Annotated[Path | None, Field(description="the file of the bearer token for it")] = None
    siem: Annotated[str, Field(description="where leaves go: file:///PATH or syslog://HOST:PORT; none if empty")] = ""
    sandbox: Annotated[bool, Field(description="a gateway over invented records, which says so everywhere")] = False
    rehearsal_day: Annotated[date | None, Field(description="answer as of this day; invented data only")] = None
    rehearsal_with: Annotated[str, Field(description="proposed policies, parted by commas; invented data only")] = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- read in `read`, so that unknown ones are seen
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- not used
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `read` has read, and nothing else."""
        return (init_settings,)

    @field_validator("peer_limit", "client_limit")
    @classmethod
    def _limit(cls, value: str) -> str:
        # Flask-Limiter falls back silently on a malformed limit.
        try:
            limits = parse_many(value)
        except ValueError:
            limits = []
        if not limits or any(limit.amount < 1 for limit in limits) or "-" in value:
            raise ValueError("not a rate limit such as 300/minute")
        return value

    @field_validator("issuer", "audience")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
        plain = parts.hostname and not parts.username and not parts.query and not parts.fragment
        if not plain or not (local or parts.scheme == "https"):
            raise ValueError("must be an https URL, or http on this machine, without query and fragment")
        return value.rstrip("/")

    @field_validator("alert_webhook")
    @classmethod
    def _webhook(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
        plain = parts.hostname and not parts.username and not parts.fragment and (parts.port is None or parts.port > 0)
        if value and not (plain and (local or parts.scheme == "https") and value.isascii() and " " not in value):
            raise ValueError("must be an https URL, or http on this machine")
        return value

    @field_validator("siem")
    @classmethod
    def _sink(cls, value: str) -> str:
        parts = urlsplit(value)
        file = parts.scheme == "file" and not parts.netloc and len(parts.path) > 1 and not parts.path.endswith("/")
        relay = parts.scheme == "syslog" and parts.hostname and parts.port and not parts.path.strip("/")
        if value and not ((file or relay) and not parts.query and not parts.fragment and not parts.username):
            raise ValueError("must be file:///PATH or syslog://HOST:PORT")
        return value

    @field_validator("arrest_url", "store_url")
    @classmethod
    def _database(cls, value: str) -> str:
        if not value.startswith(("postgresql://", "postgresql+psycopg://", "sqlite:///")) or ":memory:" in value:
            raise ValueError("must be a postgresql:// URL, or sqlite:/// with a file")
        return value

    @field_validator("keys", "keys_passphrase", "approvers", "log_public", mode="before")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value:
            raise ValueError("must name a directory, or a file")
        return value

    @field_validator("limiter_storage")
    @classmethod
    def _storage(cls, value: str) -> str:
        if not value.startswith(("memory://", "redis://", "rediss://", "unix://")):
            raise ValueError("must be memory:// or a Redis or Valkey URL")
        return value

    @field_validator("log_origin")
    @classmethod
    def _origin(cls, value: str) -> str:
        if any(c.isspace() or c == "+" for c in value):
            raise ValueError("must hold neither spaces nor plus signs (C2SP signed-note)")
        return value

    @model_validator(mode="after")
    def _several_processes(self) -> Self:
        if self.workers > 1 and self.limiter_storage.startswith("memory"):
            raise ValueError(
                "GATEWAY_LIMITER_STORAGE: several workers on memory storage would each grant the whole limit; "
                "use Redis or Valkey"
            )
        if self.workers > 1 and "sqlite" in (self.store_url + self.arrest_url):
            raise ValueError(
                "GATEWAY_STORE_URL, GATEWAY_ARREST_URL: several workers need PostgreSQL; SQLite is for one process"
            )
        return self

    @model_validator(mode="after")
    def _named_for_what_it_is(self) -> Self:
        """A name begins with the mark in a sandbox, and nowhere else; addresses of this machine have none to mark."""
        names = {"LOG_ORIGIN": self.log_origin, "ISSUER": _host(self.issuer), "AUDIENCE": _host(self.audience)}
        wrong = [
            PREFIX + variable
            for variable, name in names.items()
            if name is not None and marks.named(name) is not self.sandbox
        ]
        if wrong:
            is_one = "begin with" if self.sandbox else "not begin with"
            raise ValueError(
                f"{PREFIX}SANDBOX is {str(self.sandbox).lower()}, so the names in {', '.join(wrong)} must {is_one} "
                f"'{marks.PREFIX}'"
            )
        return self

    @property
    def resource_server(self) -> str:
        """The audience of access tokens."""
        return self.audience or self.issuer

    @property
    def rehearses(self) -> bool:
        """Whether what is answered is not what the policy in force gives today."""
        return self.rehearsal_day is not None or bool(self.proposed)

    @property
    def only_invented(self) -> str | None:
        """What this gateway is or does that it may over invented records only; None where it may not be over them."""
        if self.sandbox:
            return "is a sandbox"
        return "rehearses (GATEWAY_REHEARSAL_DAY, GATEWAY_REHEARSAL_WITH)" if self.rehearses else None

    @property
    def proposed(self) -> frozenset[str]:
        """The proposed policies to apply."""
        return frozenset(name.strip() for name in self.rehearsal_with.split(",") if name.strip())


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raise ConfigurationError that names every variable that is wrong, and no value."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    unknown = sorted(given.keys() - Settings.model_fields.keys())
    wrong = [f"{PREFIX}{name.upper()}: is no setting" for name in unknown]
    try:
        known: dict[str, Any] = {name: value for name, value in given.items() if name not in unknown}
        settings = Settings(**known)
    except ValidationError as error:
        wrong += [f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
    if wrong:
        raise ConfigurationError(f"the settings are wrong: {'; '.join(wrong)}")
    return settings


def _host(url: str | None) -> str | None:
    host = None if url is None else urlsplit(url).hostname
    return None if host in _THIS_MACHINE else host


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + str(location[0]).upper() if location else "settings"
