"""The meeting of a cluster's workers: they wait for each other, and say why they fail.

Each worker has a connection to the chief, at the address where TensorFlow listens later. All of it
is Python, which a signal ends at once; TensorFlow's own waiting is not to be disturbed.
"""

import select
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from deeplab_lfov.distributed.cluster import Cluster
from deeplab_lfov.distributed.line import Line
from deeplab_lfov.errors import UserError, WorkerGoneError, printable, shortened

MINUTES = 10
"""How long a worker waits for the others to start."""

_SECONDS = 3  # how long a worker waits to hear why another has gone, and to say why it goes
_CHIEF = 0


class Meeting:
    """The workers of a cluster while it is entered; the others are told why one leaves it early.

    Raises UserError where the chief cannot listen at its address.
    """

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self._lines: dict[int, Line] = {}
        self._heard: deque[tuple[int, dict]] = deque()
        self._listener: socket.socket | None = None
        self._late = set(range(1, len(cluster.workers)))

    def __enter__(self) -> "Meeting":
        if not self.cluster.is_chief:
            self._call_the_chief()
        elif len(self.cluster.workers) > 1:
            self._listener = _listen(self.cluster.workers[_CHIEF])
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        try:
            if isinstance(error, WorkerGoneError):
                if reason := self._reason():
                    self._tell_all(error=reason)
                    raise WorkerGoneError(reason) from error
            elif isinstance(error, Exception):
                self._await_the_late()
                self._tell_all(error=f"{self._name(self.cluster.index)} has failed: {error}")
        finally:
            self._part()

    def wait(self, fingerprint: int) -> None:
        """Wait for all workers, which have to come with one fingerprint.

        Raises UserError, in each of them, where one has another, has failed or does not come.
        """
        if len(self.cluster.workers) == 1:
            return
        print(
            printable(f"worker   {self.cluster}; waiting at most {MINUTES} minutes for the others"),
            file=sys.stderr,
        )
        until = time.monotonic() + 60 * MINUTES
        if self.cluster.is_chief:
            self._gather(fingerprint, until)
        else:
            self._report(fingerprint, until)

    def _gather(self, fingerprint: int, until: float) -> None:
        """Hear from every worker, and let all go on."""
        missing = set(range(1, len(self.cluster.workers)))
        for index, message in self._messages(until):
            if "error" in message:
                raise self._failure_of_all(str(message["error"]))
            if message.get("fingerprint") != fingerprint:
                raise self._failure_of_all(
                    f"{self._name(index)} has other flags, weights or data than the chief; start "
                    "all with the same line, and give them the same files"
                )
            missing.discard(index)
            if not missing:
                break
        else:
            names = ", ".join(self._name(index) for index in sorted(missing))
            raise self._failure_of_all(
                f"{names} did not come in {MINUTES} minutes; start all workers at once"
            )
        self._stop_listening()  # TensorFlow listens there from now on
        self._tell_all(go=True)

    def _report(self, fingerprint: int, until: float) -> None:
        """Tell the chief that this worker is there, and wait for its word."""
        self._find_the_chief(until)
        self._tell_all(fingerprint=fingerprint)
        for _, message in self._messages(until):
            if "error" in message:
                raise UserError(str(message["error"]))
            return
        raise UserError(
            f"worker {self.cluster}, which did not answer in {MINUTES} minutes: is it started, is "
            "its address in TF_CONFIG right, and its port open?"
        )

    def _reason(self) -> str:
        """Return why another worker has gone, as it says itself if it does; "" if unknown."""
        ended = ""
        seconds = _SECONDS if self.cluster.is_chief else 2 * _SECONDS  # the chief tells them
        for _, message in self._messages(time.monotonic() + seconds):
            if "error" in message and "ended" not in message:
                return str(message["error"])
            ended = ended or str(message.get("error", ""))
        return ended

    def _messages(self, until: float) -> Iterator[tuple[int, dict]]:
        """Yield who says what until a time; that a worker has ended is an error too."""
        while True:
            while self._heard:
                yield self._heard.popleft()
            left = until - time.monotonic()
            if left < 0 or not (self._lines or self._listener):
                return
            with selectors.DefaultSelector() as selector:
                for index, line in self._lines.items():
                    selector.register(line, selectors.EVENT_READ, index)
                if self._listener:
                    selector.register(self._listener, selectors.EVENT_READ, None)
                ready = [key.data for key, _ in selector.select(left)]
            for index in ready:
                self._heard += self._answer_a_call() if index is None else self._hear(index)

    def _hear(self, index: int) -> list[tuple[int, dict]]:
        try:
            return [(index, message) for message in self._lines[index].hear()]
        except (OSError, EOFError, ValueError):
            self._lines.pop(index).close()
            text = f"{self._name(index)} has ended; its own output may say why"
            return [(index, {"error": text, "ended": True})]

    def _failure_of_all(self, text: str) -> UserError:
        """Tell all what has failed, which is said once, and return it as an error."""
        self._await_the_late()
        self._tell_all(error=text)
        self._part()
        return UserError(text)

    def _await_the_late(self) -> None:
        """Give the others seconds to come, who would wait for one that has failed for minutes."""
        until = time.monotonic() + _SECONDS
        while self._listener and self._late and time.monotonic() < until:
            select.select([self._listener], [], [], 0.1)
            self._answer_a_call()
        self._find_the_chief(until)

    def _tell_all(self, **message: object) -> None:
        message = {
            key: shortened(each, 1000) if key == "error" else each for key, each in message.items()
        }
        for line in self._lines.values():
            line.say(**message)

    def _part(self) -> None:
        self._stop_listening()
        while self._lines:
            self._lines.popitem()[1].close()

    def _stop_listening(self) -> None:
        if self._listener:
            self._listener.close()
        self._listener = None

    def _name(self, index: int) -> str:
        return f"{'worker' if index else 'the chief at'} {self.cluster.workers[index]}"

    def _find_the_chief(self, until: float) -> None:
        while not (self._lines or self.cluster.is_chief) and time.monotonic() < until:
            time.sleep(0.2)
            self._call_the_chief()

    def _call_the_chief(self) -> None:
        with suppress(OSError, UnicodeError):  # the latter of a name that is none
            self._lines[_CHIEF] = Line.to(self.cluster.workers[_CHIEF])
            self._lines[_CHIEF].say(worker=self.cluster.index)

    def _answer_a_call(self) -> list[tuple[int, dict]]:
        """Take in a worker that calls, and return what it says at once."""
        try:
            line = Line(self._listener.accept()[0])
        except OSError:
            return []
        try:
            hello, *messages = line.hear()
            index = hello["worker"]
            if type(index) is not int or not 0 < index < len(self.cluster.workers):
                raise ValueError(index)
        except (OSError, EOFError, ValueError, KeyError):  # somebody else, or a port scanner
            line.close()
            return []
        if index in self._lines:
            line.say(error=f"{self._name(index)} is there already; give each its own index")
            line.close()
            return []
        self._lines[index] = line
        self._late.discard(index)
        return [(index, message) for message in messages]


def _listen(address: str) -> socket.socket:
    """Listen at the port of host:port, on all of this machine's addresses."""
    port = int(address.rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        listener = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UserError(
            f"the chief cannot listen at {address}: {error.strerror}; give it a free port in "
            "TF_CONFIG"
        ) from error
    listener.setblocking(False)
    return listener
