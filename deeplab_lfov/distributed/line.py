"""A connection between two workers, on which each says dicts as lines of JSON."""

import json
import socket
from contextlib import suppress

_MOST_BYTES = 1 << 16  # of a message
_SECONDS = 2  # to connect, and for the first message


class Line:
    """One end of a connection; it can be waited for, as a socket can."""

    def __init__(self, connection: socket.socket):
        self._connection, self._rest = connection, b""
        connection.settimeout(_SECONDS)

    @classmethod
    def to(cls, address: str) -> "Line":
        """Connect to host:port, or [IPv6]:port; raises OSError where nobody listens."""
        host, _, port = address.rpartition(":")
        connection = socket.create_connection((host.strip("[]"), int(port)), _SECONDS)
        if connection.getsockname() == connection.getpeername():  # the system gave us that port
            connection.close()
            raise ConnectionRefusedError
        return cls(connection)

    def fileno(self) -> int:
        """Return the number of the socket, for selectors."""
        return self._connection.fileno()

    def say(self, **message: object) -> None:
        """Send a message; one to an end that has gone is lost."""
        with suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> list[dict]:
        """Return the messages that have come since.

        Raises EOFError where the other end has gone, ValueError where it says anything else, and
        OSError.
        """
        content = self._connection.recv(_MOST_BYTES)
        *lines, self._rest = (self._rest + content).split(b"\n")
        if not content:
            raise EOFError
        messages = [json.loads(line) for line in lines]
        if len(self._rest) > _MOST_BYTES or not all(isinstance(each, dict) for each in messages):
            raise ValueError("what came is no message")
        return messages

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
