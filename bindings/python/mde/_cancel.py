"""Stopping calls from outside."""

import os
import threading
import time
from types import TracebackType
from typing import Optional, Set, Type

from ._fork import Forkable
from ._library import library
from ._text import Seconds, deadline_ms


class Stop:
    """The native cancel handle of one call, there while the call runs. Triggered before, it stops the call at once."""

    def __init__(self) -> None:
        # A signal handler may trigger it while its own thread is in here.
        self._lock = threading.RLock()
        self._pointer: Optional[int] = None
        self._triggered = False
        self._process = os.getpid()

    def open(self, timeout_ms: int) -> Optional[int]:
        """Makes the handle. 0 is no deadline."""
        with self._lock:
            self._pointer = library().mde_cancel_new(timeout_ms)
            if self._triggered:
                library().mde_cancel_trigger(self._pointer)
            return self._pointer

    def trigger(self) -> None:
        """Ends the call."""
        if os.getpid() != self._process:
            # A call of the parent's.
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
    """Ends the calls it is given to: when it is triggered, or when its time is over.

    One may serve many calls, of many threads. ``timeout`` (seconds or a timedelta) counts from now, for all of them
    together. It may be triggered from any thread and from a signal handler.
    """

    def __init__(self, timeout: Optional[Seconds] = None) -> None:
        # Each call has a native handle of its own, so that Ctrl-C or a callback that raises ends that call alone.
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
        """Whether it was triggered. (That its time is over does not count.)"""
        return self._triggered

    def close(self) -> None:
        """Takes it out of use. Calls that run are not stopped."""
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
            # In this order: a signal handler in between finds it.
            self._stops.add(stop)
            if self._triggered:
                stop.trigger()

    def _detach(self, stop: Stop) -> None:
        with self._lock:
            self._stops.discard(stop)

    def _remaining_ms(self) -> int:
        """For mde_cancel_new()."""
        if self._deadline is None:
            return 0
        return deadline_ms("timeout", max(0.0, self._deadline - time.monotonic()))

    def _after_fork(self) -> None:
        # Its calls were those of the parent.
        self._lock = threading.RLock()
        self._stops = set()
