"""A process that forwards and does nothing else, to be killed: python -m tests.watch.forwarding STORE_URL SINK_URL."""

import sys

from gateway.errors import Unavailable
from gateway.store import Store
from gateway.telemetry import Telemetry
from gateway.watch import tail as tail_module
from gateway.watch.alerts import Alerts
from gateway.watch.forward import Forwarder
from gateway.watch.sinks import sink
from gateway.watch.tail import Tail, from_the_first

BATCH = 3


def main(store_url: str, sink_url: str) -> None:
    """Forward until killed, in small batches, so that a kill falls between any two steps."""
    tail_module.BATCH = BATCH
    store = Store(store_url)
    reader = Tail(store, "siem", from_the_first)
    reader.begin()
    forwarder = Forwarder(reader, sink(sink_url), Alerts("gateway.test/log", None, Telemetry()))
    while True:
        try:
            forwarder.forward()
        except Unavailable:
            continue


if __name__ == "__main__":
    main(*sys.argv[1:])
