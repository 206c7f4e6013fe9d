"""Keeps a log sealed and its public part up to date, and says when answers must stop because that can't be done."""

import time
from collections.abc import Callable

from gateway.audit.log import Log
from gateway.audit.tiles import Disagreement
from gateway.errors import Unavailable

# Seconds for which leaves may wait for a checkpoint before somebody hears of it.
PATIENCE = 60
_UNSIGNED = (
    "the newest leaves are covered by no checkpoint that was given out: a process with the newest checkpoint key must "
    "sign; after 'gateway keys rotate checkpoint' let every process read its keys again"
)


class Publishing:
    """What a process that serves does for its log, again and again; trouble is reported as it begins and ends."""

    def __init__(self, log: Log, delay: int, refused: Callable[[str], None], recovered: Callable[[], None]) -> None:
        self._log = log
        self._delay = delay
        self._refused = refused
        self._recovered = recovered
        self._trouble: str | None = None
        self._disagreeing = False
        # When the newest checkpoint was known to be public.
        self._published = time.time()
        self._unsigned = False

    def go_on(self) -> None:
        """Seal what waits, and publish.

        A store that went back is neither sealed nor published: it would fork the log. A public part that can't be
        written stays as it is until it can be.
        """
        began = time.time()
        try:
            self._log.seal_all()
            self._log.publish()
        except (Disagreement, OSError) as error:
            self._disagreeing = isinstance(error, Disagreement)
            if self._trouble != str(error):
                self._refused(str(error))
            self._trouble = str(error)
        else:
            if self._trouble is not None:
                self._recovered()
            self._disagreeing, self._trouble = False, None
            self._note_public(began)

    def _note_public(self, began: float) -> None:
        """Tell of leaves that no checkpoint covers for long: this process may not sign, because a newer key has."""
        if self._log.is_public():
            if self._unsigned:
                self._recovered()
            self._published, self._unsigned = began, False
        elif began - self._published > PATIENCE and not self._unsigned:
            self._refused(_UNSIGNED)
            self._unsigned = True

    def check(self) -> None:
        """Refuse while the store and what was given out disagree, and while sealing or publishing is late."""
        self._log.check_prompt()
        if self._disagreeing or time.time() - self._published > self._delay:
            raise Unavailable
