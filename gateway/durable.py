"""Makes durable which names stand in a directory: a crash may keep a new file's content, and lose its name."""

import os
from pathlib import Path


def keep_names(directory: Path) -> None:
    """Return once the names in a directory are on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
