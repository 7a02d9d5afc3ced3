"""One call of the library that may take long: where it runs, how Ctrl-C ends it, and how its callbacks run.

Python runs signal handlers in the main thread alone, and only between two steps of Python code. A main thread that
waits inside the library would hear of Ctrl-C when the call is over. So a call of the main thread runs in a thread
made for it, while the main thread waits for messages, which a signal interrupts. (The other way, signal.set_wakeup_fd(),
exists once in a process, belongs to the event loop where there is one, and does not tell what Python's handler made
of the signal.) Callbacks come to the main thread as messages, so they run in the thread that called, as everywhere
else. Calls of other threads run where they are: no signal handler ever runs there.
"""

import os
import queue
import sys
import threading
import time
from typing import Any, Callable, Generic, List, Optional, Tuple, TypeVar

from ._cancel import Cancel, Stop
from ._errors import error_saying
from ._status import Status
from ._text import Seconds, deadline_ms

T = TypeVar("T")

# How often a thread looks that waits for a message the system cannot interrupt, or that may have been lost.
_LOOK_S = 0.05
# Elsewhere than on Windows a signal interrupts the wait itself.
_WAIT_S = _LOOK_S if sys.platform == "win32" else None


class _Calls(threading.local):
    """The calls of this thread, the innermost last."""

    def __init__(self) -> None:
        # Those whose native part runs in this thread, and those that this thread waits for.
        self.native: List["Call[Any]"] = []
        self.made: List["Call[Any]"] = []


_here = _Calls()


def current() -> "Call[Any]":
    """The call whose native part runs in this thread: that which a callback belongs to."""
    return _here.native[-1]


def waits_for(owner: object) -> bool:
    """Whether this thread is inside a callback of a call of this owner."""
    return any(call.owner is owner for call in _here.made)


class _Turn:
    """A callback's turn in the thread that called."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.answer: Any = None
        self.went_well = False
        self.over = threading.Lock()
        self.over.acquire()


class Call(Generic[T]):
    """One call, from its start to its result."""

    def __init__(self, owner: object = None, progress: Optional[Callable[[Any], object]] = None) -> None:
        self.owner = owner
        self.progress = progress
        self._stop: Optional[Stop] = None
        self._failure: Optional[BaseException] = None
        self._error: Optional[BaseException] = None
        self._result: Optional[T] = None
        self._inbox: "Optional[queue.SimpleQueue[Optional[_Turn]]]" = None
        self._begun = threading.Lock()
        self._finished = False
        self._abandoned = False
        self._process = os.getpid()

    def stoppable(
        self, native: Callable[[Optional[int]], T], cancel: Optional[Cancel], timeout: Optional[Seconds]
    ) -> T:
        """Runs it with a cancel handle, which `cancel`, `timeout`, a signal and a failing callback trigger."""
        timeout_ms = deadline_ms("timeout", timeout)
        if cancel is not None and not isinstance(cancel, Cancel):
            raise TypeError("cancel must be a mde.Cancel, not %s" % type(cancel).__name__)
        stop = self._stop = Stop()

        def with_handle() -> T:
            left = cancel._remaining_ms() if cancel is not None else 0
            pointer = stop.open(min(timeout_ms, left) if timeout_ms and left else timeout_ms or left)
            try:
                if cancel is not None:
                    cancel._attach(stop)
                if left == 1 or timeout_ms == 1:
                    # The library has no handle whose time is over from the start, and a call may be quick.
                    time.sleep(0.002)
                return native(pointer)
            finally:
                if cancel is not None:
                    cancel._detach(stop)
                stop.close()

        return self.run(with_handle)

    def run(self, native: Callable[[], T]) -> T:
        """Runs it, and raises what a callback, a signal or the call itself raised."""
        _here.made.append(self)
        try:
            if threading.current_thread() is threading.main_thread():
                self._attend(native)
            else:
                self._work(native)
            failure, error = self._failure, self._error
            if failure is not None:
                if failure.__context__ is None and failure is not error:
                    # What became of the call meanwhile is not lost.
                    failure.__context__ = error
                raise failure
            if error is not None:
                raise error
            return self._result  # type: ignore[return-value]
        finally:
            _here.made.remove(self)
            # Tracebacks hold this frame, and it them.
            self._failure = self._error = failure = error = None

    def ask(self, function: Callable[[], Any]) -> Tuple[bool, Any]:
        """Runs a callback in the thread that called. Whether it went well, and what it answered.

        If it raises, the call is stopped, and raises the same at its end.
        """
        inbox = self._inbox
        turn = _Turn(function)
        if inbox is None:
            self._take(turn)
        elif self._failure is None:
            inbox.put(turn)
            while not turn.over.acquire(timeout=_LOOK_S):
                # A signal may have come between the arrival of a message and its reading.
                if self._failure is not None or self._abandoned:
                    return False, None
        return turn.went_well, turn.answer

    def fail(self, failure: BaseException) -> None:
        """Stops the call, which then raises this."""
        if self._failure is None:
            self._failure = failure
        if self._stop is not None:
            self._stop.trigger()

    def _take(self, turn: _Turn) -> None:
        try:
            if self._failure is None:
                turn.answer = turn.function()
                turn.went_well = True
        except BaseException as failure:
            self.fail(failure)
        finally:
            turn.over.release()

    def _work(self, native: Callable[[], T]) -> None:
        """The native part."""
        if not self._begun.acquire(False):
            return
        _here.native.append(self)
        try:
            self._result = native()
        except BaseException as error:
            self._error = error
        finally:
            _here.native.pop()
            self._finished = True
            if self._inbox is not None:
                self._inbox.put(None)

    def _attend(self, native: Callable[[], T]) -> None:
        """Has the native part run in a thread of its own, and runs its callbacks here."""
        inbox = self._inbox = queue.SimpleQueue()
        try:
            # Whatever a signal handler raises, and wherever here: what is done twice does no harm, and a message that
            # gets lost is not waited for.
            begun = False
            while not self._finished:
                try:
                    if not begun:
                        # Again, after a signal in here: the thread that comes second finds nothing to do.
                        self._begin(native)
                        begun = True
                        continue
                    turn = inbox.get(timeout=_WAIT_S)
                    if turn is not None:
                        self._take(turn)
                        self._check_process()
                except queue.Empty:
                    pass
                except BaseException as interrupt:
                    if self._stop is None:
                        # Nothing stops it, nobody needs it: it ends by itself.
                        raise
                    self.fail(interrupt)
        finally:
            self._abandoned = True

    def _begin(self, native: Callable[[], T]) -> None:
        begun = threading.Thread(target=self._work, args=(native,), name="mde", daemon=True)
        try:
            begun.start()
        except RuntimeError:
            # No thread to be had, as when the interpreter is about to end. Signals then wait for the call.
            if not self._begun.locked():
                self._inbox = None
                self._work(native)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            # The callback forked, and this is the child, where the thread of the call does not exist.
            self._finished = True
            self._error = error_saying(
                Status.FORKED, "the call was made before a fork, in another process; make a new client here"
            )
