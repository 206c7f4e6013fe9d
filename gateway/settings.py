"""Settings: read once from the environment, frozen, refused when unknown, missing or unsafe."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from limits import parse_many
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.errors import ConfigurationError

PREFIX = "GATEWAY_"


class Settings(BaseSettings):
    """Where everything is and how much is allowed; each is the variable GATEWAY_NAME."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    arrest_url: Annotated[str, Field(description="the arrest database, by a role that may only SELECT")]
    store_url: Annotated[str, Field(description="the gateway's own database")]
    keys: Annotated[Path, Field(description="the directory of key files")]
    policies: Annotated[Path, Field(description="the directory of the policy")] = Path("policies")
    issuer: Annotated[str, Field(description="the URL by which clients know the authorization server")]
    audience: Annotated[str, Field(description="the URL by which clients know the API; the issuer, if empty")] = ""
    log_origin: Annotated[str, Field(description="the name of the log, without a scheme", min_length=1)]
    bind: Annotated[str, Field(description="address and port to serve on")] = "127.0.0.1:8000"
    workers: Annotated[int, Field(ge=1, le=64, description="server processes")] = 1
    threads: Annotated[int, Field(ge=1, le=64, description="threads of each process")] = 8
    limiter_storage: Annotated[str, Field(description="memory:// for one process, else redis://...")] = "memory://"
    peer_limit: Annotated[str, Field(description="requests of one peer address")] = "600/minute"
    client_limit: Annotated[str, Field(description="requests of one client")] = "300/minute"
    trusted_proxies: Annotated[int, Field(ge=0, le=3, description="proxies in front that set X-Forwarded-For")] = 0
    query_timeout: Annotated[int, Field(ge=1, le=60, description="seconds that a query may take")] = 5
    rehearsal_day: Annotated[date | None, Field(description="answer as of this day; invented data only")] = None
    rehearsal_with: Annotated[str, Field(description="proposed policies to apply, parted by commas")] = ""

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
        if len(parse_many(value)) == 0:
            raise ValueError("not a rate limit such as 300/minute")
        return value

    @field_validator("issuer", "audience")
    @classmethod
    def _url(cls, value: str) -> str:
        local = value.startswith(("http://127.0.0.1", "http://localhost"))
        if value and not local and not value.startswith("https://"):
            raise ValueError("must be an https URL, or http on this machine")
        return value.rstrip("/")

    @field_validator("log_origin")
    @classmethod
    def _origin(cls, value: str) -> str:
        if any(c.isspace() or c == "+" for c in value):
            raise ValueError("must hold neither spaces nor plus signs (C2SP signed-note)")
        return value

    @model_validator(mode="after")
    def _several_processes(self) -> Self:
        if self.workers > 1 and self.limiter_storage.startswith("memory"):
            raise ValueError("several workers on memory storage would each grant the whole limit; use Redis or Valkey")
        if self.workers > 1 and "sqlite" in (self.store_url + self.arrest_url):
            raise ValueError("several workers need PostgreSQL; SQLite is for one process")
        if not self.limiter_storage.startswith(("memory://", "redis://", "rediss://", "unix://")):
            raise ValueError("limiter_storage must be memory:// or a Redis or Valkey URL")
        return self

    @property
    def resource_server(self) -> str:
        """The audience of access tokens."""
        return self.audience or self.issuer

    @property
    def proposed(self) -> frozenset[str]:
        """The proposed policies to apply."""
        return frozenset(name.strip() for name in self.rehearsal_with.split(",") if name.strip())


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raise ConfigurationError that names every variable that is wrong, and no value."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return Settings(**given)  # type: ignore[arg-type] # pydantic parses and checks
    except ValidationError as error:
        wrong = "; ".join(f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(f"the settings are wrong: {wrong}") from None


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + str(location[0]).upper() if location else "settings"
