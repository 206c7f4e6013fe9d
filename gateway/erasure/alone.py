"""Acts that nobody else's entry may cross: what they find in the log is all that there is when they commit."""

from sqlalchemy.engine import Connection

# In this order, which is that of every other transaction: an entry's openings first, then what it changes beside them.
_LOCK = "LOCK TABLE legal_hold, opening, notice IN SHARE ROW EXCLUSIVE MODE"


def alone(connection: Connection) -> None:
    """Keep others from writing holds, openings and notices until this transaction ends; wait for those in flight.

    They can be read meanwhile. What others want to write waits, as SQLite lets any writer wait, so answers do: this is
    for rare and short acts. It gives up after ten seconds rather than hold everybody up behind one slow transaction.
    """
    if connection.dialect.name == "sqlite":
        return
    connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
    # Between two statements openings are opened, which takes its time where there are many.
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '10min'")
    connection.exec_driver_sql(_LOCK)
