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
        self._disagreeing = False
        # When what was given out was known to cover every leaf.
        self._published = time.time()
        # What has been reported, and is not over.
        self._trouble: str | None = None

    def go_on(self) -> None:
        """Seal what waits, and publish.

        A store that went back is neither sealed nor published: it would fork the log. A public part that can't be
        written stays as it is until it can be. A process that may not sign, because a newer key has, waits for one
        that may.
        """
        began = time.time()
        try:
            self._log.seal_all()
            self._log.publish()
        except (Disagreement, OSError) as error:
            self._disagreeing = isinstance(error, Disagreement)
            self._report(str(error))
            return
        self._disagreeing = False
        if self._log.is_public():
            self._published = began
            self._report(None)
        elif began - self._published > PATIENCE:
            self._report(_UNSIGNED)

    def _report(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is None:
            self._recovered()
        else:
            self._refused(trouble)

    def check(self) -> None:
        """Refuse while the store and what was given out disagree, and while sealing or publishing is late."""
        self._log.check_prompt()
        if self._disagreeing or time.time() - self._published > self._delay:
            raise Unavailable
