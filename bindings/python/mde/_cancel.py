"""Cancelling calls."""

import os
import threading
import time
from types import TracebackType
from typing import Optional, Set, Type

from ._fork import Forkable
from ._library import library
from ._text import Seconds, deadline_ms


class Stop:
    """The native cancel handle of one call. It exists while the call runs. An earlier trigger takes effect then."""

    def __init__(self) -> None:
        # A signal handler may trigger it while its own thread holds the lock.
        self._lock = threading.RLock()
        self._pointer: Optional[int] = None
        self._triggered = False
        self._process = os.getpid()

    def open(self, timeout_ms: int) -> Optional[int]:
        """Makes the handle. 0 means no deadline."""
        with self._lock:
            self._pointer = library().mde_cancel_new(timeout_ms)
            if self._triggered:
                library().mde_cancel_trigger(self._pointer)
            return self._pointer

    def trigger(self) -> None:
        """Ends the call."""
        if os.getpid() != self._process:
            # The call belongs to the parent process.
            return
        with self._lock:
            self._triggered = True
            if self._pointer is not None:
                library().mde_cancel_trigger(self._pointer)

    def close(self) -> None:
        """Frees the handle, after the call."""
        with self._lock:
            pointer, self._pointer = self._pointer, None
        library().mde_cancel_free(pointer)


class Cancel(Forkable):
    """Ends the calls it is given to when it is triggered or its time is over.

    Many calls of many threads may share one. ``timeout`` (seconds or a timedelta) counts from now, for all of them
    together. Any thread and any signal handler may trigger it.
    """

    def __init__(self, timeout: Optional[Seconds] = None) -> None:
        # Each call has its own native handle, so that Ctrl-C or a callback that raises ends only that call.
        self._lock = threading.RLock()
        self._stops: Set[Stop] = set()
        self._triggered = False
        self._closed = False
        timeout_ms = deadline_ms("timeout", timeout)
        self._deadline = time.monotonic() + timeout_ms / 1000 if timeout_ms else None
        super().__init__()

    def trigger(self) -> None:
        """Ends every call that uses it, now and later, with CancelledError."""
        with self._lock:
            self._triggered = True
            for stop in list(self._stops):
                stop.trigger()

    @property
    def triggered(self) -> bool:
        """Whether it was triggered. An expired timeout does not count."""
        return self._triggered

    def close(self) -> None:
        """Lets no further call use it. Running calls are not stopped."""
        self._closed = True

    def __enter__(self) -> "Cancel":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _attach(self, stop: Stop) -> None:
        with self._lock:
            if self._closed:
                raise ValueError("cancel was closed")
            # Added before the check, so that a signal handler that runs in between triggers it.
            self._stops.add(stop)
            if self._triggered:
                stop.trigger()

    def _detach(self, stop: Stop) -> None:
        with self._lock:
            self._stops.discard(stop)

    def _remaining_ms(self) -> int:
        """The time that is left, for mde_cancel_new()."""
        if self._deadline is None:
            return 0
        return deadline_ms("timeout", max(0.0, self._deadline - time.monotonic()))

    def _after_fork(self) -> None:
        # Its calls belong to the parent process.
        self._lock = threading.RLock()
        self._stops = set()
