"""The policy that a process follows: the bundle in force, as long as it is known to be so, and the agencies stopped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.activation.approvers import Approvers
from gateway.activation.history import Turn
from gateway.activation.register import NOTHING, Register
from gateway.activation.statement import Activate, Statement, StatementError
from gateway.errors import ConfigurationError, Unavailable
from gateway.policy.bundle import Bundle
from gateway.strict_yaml import FileError

# Seconds after which all statements are read again, also when nothing new is to be seen.
THOROUGH = 10


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told: before a bundle takes force, when something is refused, and when nothing is refused any more."""

    accept: Callable[[Bundle, Statement], None]
    refused: Callable[[str], None]
    healed: Callable[[Bundle], None]


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall's clock, by which bundles take force, and the monotonic one, by which knowledge grows old."""

    wall: Callable[[], datetime]
    monotonic: Callable[[], float]


class Current:
    """Holds one bundle, and follows the register.

    Whoever answers a request reads `bundle` once, so that the request is answered wholly by one bundle. What is not
    sound changes nothing: the last good bundle stays in force, and stops stay stops.
    """

    def __init__(
        self, register: Register, approvers: Callable[[], Approvers], watch: Watch, clocks: Clocks, age: float
    ) -> None:
        self._register = register
        self._approvers = approvers
        self._watch = watch
        self._clocks = clocks
        self._age = age
        self._confirmed = self._thorough = clocks.monotonic()
        self._newest = register.newest()
        self._history = register.history()
        moment = clocks.wall()
        self._history.verify(approvers(), moment)
        turns = self._history.turns(moment)
        if not turns:
            coming = [f"; {turn.bundle} takes force at {turn.since}" for turn in self._history.scheduled(moment)]
            raise ConfigurationError(NOTHING + "".join(coming))
        self.stops: Mapping[str, Statement] = self._history.stops()
        self.last = self._loaded(turns[-1])
        self._watch.accept(self.last, turns[-1].statement)
        # What is wrong with the statements; with the bundle whose turn it is; and what of both has been told.
        self._broken: str | None = None
        self._unsound: tuple[str, str] | None = None
        self._told: str | None = None

    @property
    def bundle(self) -> Bundle:
        """The bundle in force; raise Unavailable where that could not be confirmed for too long."""
        if self._stale():
            raise Unavailable
        return self.last

    def check(self) -> None:
        """Raise Unavailable unless everything in the register is accepted, as of lately."""
        if self._told is not None or self._stale():
            raise Unavailable

    def refresh(self) -> None:
        """Take what is new into force, or say why not and keep what was; raise Unavailable with the store."""
        began = self._clocks.monotonic()
        newest = self._register.newest()
        if newest != self._newest or began - self._thorough >= THOROUGH:
            self._broken = self._follow()
            self._newest, self._thorough, self._unsound = newest, began, None
        wrong = self._turn() or self._broken
        if wrong != self._told:
            if wrong is None:
                self._watch.healed(self.last)
            else:
                self._watch.refused(wrong)
            self._told = wrong
        # Last: a register that can't be read, a chain that is broken or a bundle that can't be logged lets what is held
        # grow old. Behind a break there may be a stop.
        if self._broken is None:
            self._confirmed = began

    def _stale(self) -> bool:
        return self._clocks.monotonic() - self._confirmed > self._age

    def _follow(self) -> str | None:
        """Add what is new, statement by statement, up to the first that is not sound; return what is wrong with it."""
        known = self._history.signed
        try:
            found = self._register.statements()
            if found[: len(known)] != known:
                raise StatementError("statements that were accepted have been changed or removed in the store")
            for signed in found[len(known) :]:
                longer = self._history.extended(signed)
                approvers = self._approvers()
                longer.verify_one(len(longer.statements), approvers)
                # It has just come: whoever signed it must count now, and not only at the moment that it names.
                signed.verify(approvers.counting(self._clocks.wall()))
                self._history = longer
        except ConfigurationError as error:
            return str(error)
        finally:
            self.stops = self._history.stops()
        return None

    def _turn(self) -> str | None:
        """Put the bundle whose time has come in force; return what is wrong with it."""
        turns = self._history.turns(self._clocks.wall())
        if not turns or turns[-1].bundle == self.last.digest:
            return None
        turn = turns[-1]
        # One that was refused is tried again when the register has been read again.
        if self._unsound is None or self._unsound[0] != turn.bundle:
            try:
                bundle = self._loaded(turn)
                # Announced first: if the log can't take it, the old bundle stays, and this is tried again.
                self._watch.accept(bundle, turn.statement)
            except (ConfigurationError, FileError) as error:
                self._unsound = turn.bundle, str(error)
            else:
                self.last = bundle
                return None
        return self._unsound[1]

    def _loaded(self, turn: Turn) -> Bundle:
        bundle = self._register.bundle(turn.bundle)
        match turn.statement.deed:
            case Activate(_, start) if start is not None and start.zone != bundle.catalogue.time_zone.key:
                raise StatementError(f"statement {turn.statement.sequence} names a day of another city's time zone")
            case _:
                return bundle
