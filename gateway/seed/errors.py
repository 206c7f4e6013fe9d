"""The one family of errors that this package raises by intent."""


class SeedError(Exception):
    """Refuse to build the database: the request or the target is not usable."""
