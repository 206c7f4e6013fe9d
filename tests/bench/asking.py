"""One connection of this machine that asks one question after the other, whatever the answers are."""

import socket

_PATIENCE = 30
_CHUNK = 1 << 18
_LENGTH = b"\r\ncontent-length: "


class Connection:
    """A keep-alive connection over HTTP."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answered(self, request: bytes) -> tuple[int, bytes]:
        """Ask; return the status and the body once the answer is whole."""
        self._socket.sendall(request)
        answer = b""
        while (head := answer.find(b"\r\n\r\n")) < 0:
            answer += self._received()
        start = answer[: head + 2].lower().index(_LENGTH) + len(_LENGTH)
        end = head + 4 + int(answer[start : answer.index(b"\r\n", start)])
        while len(answer) < end:
            answer += self._received()
        return int(answer[9:12]), answer[head + 4 :]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _received(self) -> bytes:
        chunk = self._socket.recv(_CHUNK)
        if not chunk:
            raise RuntimeError("the server closed the connection")
        return chunk
