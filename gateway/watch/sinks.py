"""Where leaves go for a SIEM: a file, or a syslog relay over TCP; what a sink took, it has."""

import errno
import os
import re
import socket
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from gateway.durable import keep_names
from gateway.watch.tail import Missing, Placed

# Seconds for a relay to accept a connection, to take a batch, and to say that it has read it.
PATIENCE = 10
# Facility 13 (log audit), severity 6 (informational): RFC 5424, section 6.2.1.
_PRIORITY = 13 * 8 + 6
_TIME = re.compile(rb'"time":"([0-9T:.-]{26}Z)"')


class Sink(Protocol):
    """Something that takes leaves."""

    def write(self, leaves: Sequence[Placed]) -> None:
        """Hand leaves over; return when the sink has them all, raise OSError if that is not known."""


def line(placed: Placed) -> bytes:
    """Write a leaf as one JSON object without its line's end; exactly the bytes that were hashed, or no leaf."""
    match placed.leaf:
        case Missing() as why:
            return b'{"index":%d,"%s":"%s"}' % (placed.index, why.encode(), placed.hashed.hex().encode())
        case content:
            return b'{"index":%d,"leaf":%s}' % (placed.index, content)


@dataclass(frozen=True, slots=True)
class FileSink:
    """A file of lines. It is opened for each batch, so that whoever rotates it by renaming need tell nobody."""

    path: Path

    def write(self, leaves: Sequence[Placed]) -> None:
        """Append lines, durably. A crash in between leaves a torn line, which the next batch ends before it begins."""
        # Without O_NONBLOCK a pipe that nobody reads would hold the thread for ever.
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "ab") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            torn = status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n"
            file.write((b"\n" if torn else b"") + b"".join(line(placed) + b"\n" for placed in leaves))
            file.flush()
            os.fsync(descriptor)
        if not status.st_size:
            keep_names(self.path.parent)


@dataclass(frozen=True, slots=True)
class SyslogSink:
    """A relay that speaks RFC 5424 over TCP with octet counting (RFC 6587, section 3.4.1).

    Not UDP: a leaf may be larger than a datagram, and what is lost there is lost unseen. Each batch has a connection of
    its own. TCP tells a sender only that bytes are on their way; that the relay has read them all is known when it
    closes its side after ours.
    """

    host: str
    port: int

    def write(self, leaves: Sequence[Placed]) -> None:
        """Send messages, and wait until the relay has read them."""
        content = b"".join(b"%d %s" % (len(message), message) for message in map(_message, leaves))
        with socket.create_connection((self.host, self.port), timeout=PATIENCE) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            until = time.monotonic() + PATIENCE
            while connection.recv(1024):
                if time.monotonic() > until:
                    raise TimeoutError(errno.ETIMEDOUT, "the relay does not say that it has read")


def _message(placed: Placed) -> bytes:
    """Write a leaf as a message of syslog, at the time of its entry."""
    found = None if isinstance(placed.leaf, Missing) else _TIME.search(placed.leaf)
    # PRINTUSASCII and no more than 255: RFC 5424, section 6.2.4.
    host = re.sub(r"[^!-~]", "", socket.gethostname())[:255] or "-"
    header = f"<{_PRIORITY}>1 {found[1].decode() if found else '-'} {host} arrest-gateway - leaf - "
    return header.encode() + line(placed)


def sink(url: str) -> Sink:
    """Return the sink of a URL, as the settings have it."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileSink(Path(unquote(parts.path)))
    return SyslogSink(str(parts.hostname), int(parts.port or 0))
