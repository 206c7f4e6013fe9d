"""The log: what is written of every access, how it is sealed, and how it is verified."""
