"""What the statements come to: which bundle is in force at a moment, what is scheduled, which agencies are stopped."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.activation.approvers import Approvers
from gateway.activation.statement import (
    Activate,
    Deed,
    Lift,
    Rollback,
    Statement,
    StatementError,
    Stop,
    action_of,
    digest,
    parse,
    verify,
)


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement's bytes with the armored signatures over them."""

    content: bytes
    signatures: tuple[str, ...]

    def verify(self, approvers: Approvers) -> tuple[str, ...]:
        """Return the names of those who signed; raise StatementError where they don't suffice."""
        return verify(self.content, self.signatures, approvers)


@dataclass(frozen=True, slots=True)
class Turn:
    """A bundle's time in force: since when, and by which statement it is."""

    bundle: str
    since: datetime
    statement: Statement


@dataclass(frozen=True, slots=True)
class History:
    """The chain of one log's statements; `extended` is the only way to make it longer."""

    log: str
    signed: tuple[Signed, ...] = ()
    statements: tuple[Statement, ...] = ()

    def extended(self, signed: Signed) -> "History":
        """Add a statement; raise StatementError unless it is the next of this chain. Signatures are verified apart.

        1. It belongs to this log. 2. It is the next one. 3. It follows the one before. 4. It is possible.
        """
        statement = parse(signed.content)
        name = f"statement {statement.sequence}"
        # 1.
        if statement.log != self.log:
            raise StatementError(f"{name} was made for the log '{statement.log}', not for '{self.log}'")
        # 2.
        following = len(self.statements) + 1
        if statement.sequence < following:
            raise StatementError(f"{name} comes again or too late: the next statement has the number {following}")
        if statement.sequence > following:
            raise StatementError(f"{name} leaves a gap: the next statement has the number {following}")
        # 3.
        if statement.previous != self.head():
            raise StatementError(f"{name} does not follow the statement before it")
        if self.statements and statement.made < self.statements[-1].made:
            raise StatementError(f"{name} was made before the statement that it follows")
        # 4.
        self.possible(statement.deed, statement.made)
        return replace(self, signed=(*self.signed, signed), statements=(*self.statements, statement))

    def head(self) -> str | None:
        """Return the digest that the next statement must name."""
        return digest(self.signed[-1].content) if self.signed else None

    def possible(self, deed: Deed, moment: datetime) -> None:
        """Raise StatementError where there is nothing to roll back, to stop or to lift."""
        match deed:
            case Rollback(bundle):
                if bundle != self.before(moment):
                    raise StatementError(
                        "a rollback goes to the bundle that was in force directly before, and no other"
                    )
            case Stop(agency) if agency in self.stops():
                raise StatementError(f"{agency} is stopped already")
            case Lift(agency) if agency not in self.stops():
                raise StatementError(f"{agency} is not stopped")
            case _:
                pass

    def before(self, moment: datetime) -> str:
        """Return the bundle to which one approver can roll back; raise StatementError where there is none.

        Not twice: a rollback of a rollback would put in force, by one signature, what was just taken back.
        """
        turns = self.turns(moment)
        if len(turns) < 2:  # noqa: PLR2004 -- the present one and the one before
            raise StatementError("no bundle was in force before the present one")
        if isinstance(turns[-1].statement.deed, Rollback):
            raise StatementError("the present bundle came by a rollback: another one needs an activation")
        return turns[-2].bundle

    def turns(self, moment: datetime) -> tuple[Turn, ...]:
        """Return the bundles that have been in force up to a moment, in order.

        A later statement supersedes what an earlier one has scheduled for after it.
        """
        turns: list[Turn] = []
        last = 0
        for statement in sorted(self._moving(), key=lambda each: (each.effective(), each.sequence)):
            if not statement.begun(moment) or statement.sequence < last:
                continue
            last = statement.sequence
            bundle = _bundle(statement.deed)
            if turns and turns[-1].bundle == bundle:
                # Signed anew, perhaps because a signature counts no more: it goes on by the later statement.
                turns[-1] = replace(turns[-1], statement=statement)
            else:
                turns.append(Turn(bundle, statement.effective(), statement))
        return tuple(turns)

    def scheduled(self, moment: datetime) -> tuple[Turn, ...]:
        """Return what will take force after a moment, if nothing else is stated."""
        moving = self._moving()
        begun = max((each.sequence for each in moving if each.begun(moment)), default=0)
        coming = [each for each in moving if each.sequence > begun]
        return tuple(
            Turn(_bundle(each.deed), each.effective(), each)
            for each in sorted(coming, key=Statement.effective)
            if not any(other.sequence > each.sequence and other.effective() <= each.effective() for other in coming)
        )

    def stops(self) -> dict[str, Statement]:
        """Return the statements that stop agencies now."""
        return {name: each for name, each in self._last_words().items() if isinstance(each.deed, Stop)}

    def verify(self, approvers: Approvers, moment: datetime) -> None:
        """Verify the signatures of whatever matters now; raise StatementError.

        Each of them binds, by its digest, all that stands before it. What no longer matters may bear the signature of
        someone who is an approver no more.
        """
        mattering = {each.sequence for each in self._last_words().values()}
        turns = self.turns(moment)
        mattering |= {turn.statement.sequence for turn in (*turns[-1:], *self.scheduled(moment))}
        for sequence in sorted(mattering):
            self.verify_one(sequence, approvers)

    def verify_one(self, sequence: int, approvers: Approvers) -> None:
        """Verify the signatures of one statement, and of the activation to which it goes back, if it does."""
        self.signed[sequence - 1].verify(approvers)
        deed = self.statements[sequence - 1].deed
        if isinstance(deed, Rollback):
            # Two approvers signed what one has gone back to; whoever follows may have had no reason yet to look at it.
            self.verify_one(max(each.sequence for each in self._activations(deed.bundle)), approvers)

    def _moving(self) -> list[Statement]:
        return [each for each in self.statements if isinstance(each.deed, Activate | Rollback)]

    def _activations(self, bundle: str) -> list[Statement]:
        return [each for each in self.statements if isinstance(each.deed, Activate) and each.deed.bundle == bundle]

    def _last_words(self) -> dict[str, Statement]:
        """Return the last statement on each agency."""
        return {each.deed.agency: each for each in self.statements if isinstance(each.deed, Stop | Lift)}


def chained(log: str, rows: Iterable[Signed]) -> History:
    """Read a whole chain; raise StatementError at the first break."""
    history = History(log)
    for signed in rows:
        history = history.extended(signed)
    return history


def described(statement: Statement) -> str:
    """Say in a few words what a statement does."""
    match statement.deed:
        case Activate(bundle, start) if start is not None:
            return f"activate {bundle} from {start.day}"
        case Activate(bundle) | Rollback(bundle):
            return f"{action_of(statement.deed)} {bundle}"
        case Stop(agency) | Lift(agency):
            return f"{action_of(statement.deed)} {agency}"


def _bundle(deed: Deed) -> str:
    return deed.bundle if isinstance(deed, Activate | Rollback) else ""
