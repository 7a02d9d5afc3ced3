"""One call of the library that may take long: where it runs, how Ctrl-C ends it, and how its callbacks run.

Python runs signal handlers in the main thread alone, and only between two steps of Python code. A main thread that
waits inside the library would hear of Ctrl-C when the call is over. So a call of the main thread runs in a thread
made for it, while the main thread waits for messages, which a signal interrupts. (The other way, signal.set_wakeup_fd(),
exists once in a process, belongs to the event loop where there is one, and does not tell what Python's handler made
of the signal.) Callbacks come to the main thread as messages, so they run in the thread that called, as everywhere
else. Calls of other threads run where they are: no signal handler ever runs there.

Whatever a callback or a signal makes a call raise, what the library said of the call goes along, as OUTCOMES.
"""

import os
import queue
import sys
import threading
import time
from typing import Any, Callable, Dict, Generic, List, Optional, Tuple, TypeVar, cast

from ._cancel import Cancel, Stop
from ._errors import MdeError, error_saying
from ._status import Status
from ._text import Seconds, deadline_ms

T = TypeVar("T")

OUTCOMES = "mde_outcomes"
"""The attribute of exceptions that has the outcomes of the calls that they went through."""

# How often a thread looks that waits for a message the system cannot interrupt, or that may have been lost.
_LOOK_S = 0.05
# How often the main thread looks whether a signal came. Elsewhere than on Windows a signal interrupts the wait itself,
# except one that comes just before it.
_WAIT_S = _LOOK_S if sys.platform == "win32" else 0.25


class _Calls(threading.local):
    """The calls of this thread."""

    def __init__(self) -> None:
        # Those whose native part runs in this thread, and the innermost of those that this thread waits for.
        self.native: List["Call[Any]"] = []
        self.made: "Optional[Call[Any]]" = None


_here = _Calls()


def current() -> "Call[Any]":
    """The call whose native part runs in this thread: that which a callback belongs to."""
    return _here.native[-1]


def waits_for(owner: object) -> bool:
    """Whether this thread is inside a callback of a call of this owner."""
    call = _here.made
    while call is not None:
        if call.owner is owner:
            return True
        call = call.outer
    return False


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
        # The call in whose callback this one is made.
        self.outer: "Optional[Call[Any]]" = None
        self._stop: Optional[Stop] = None
        self._failure: Optional[BaseException] = None
        self._error: Optional[BaseException] = None
        self._result: Optional[T] = None
        # The document of this call, if it has one, and those of a call in its callback that a failure went through.
        self._outcome: Tuple[Dict[str, Any], ...] = ()
        self._inner: Optional[Tuple[BaseException, Tuple[Dict[str, Any], ...]]] = None
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
        # Python (3.10 and newer) runs signal handlers where functions are called and where loops begin again. Wherever
        # the outcome could be lost there is neither, or what the handler raises is caught.
        self.outer = _here.made
        try:
            _here.made = self
            try:
                self._see_through(native)
            except BaseException as interrupt:
                if self._failure is None:
                    self._failure = interrupt
                if self._stop is not None and not self._finished:
                    # It came where the loop begins again.
                    self._see_through(native)
        except BaseException as interrupt:
            if self._failure is None:
                self._failure = interrupt
        _here.made = self.outer
        failure, error, outcomes, inner = self._failure, self._error, self._outcome, self._inner
        # Tracebacks hold this frame, and it them.
        self._failure = self._error = self._inner = None
        try:
            if failure is not None:
                if inner is not None and inner[0] is failure:
                    outcomes = inner[1] + outcomes
                # Past any __setattr__ of its class, which may refuse it.
                failure.__dict__[OUTCOMES] = outcomes
                if self.outer is not None:
                    self.outer._inner = failure, outcomes
                if failure.__context__ is None and failure is not error:
                    # For those who read tracebacks.
                    try:
                        failure.__context__ = error
                    except AttributeError:
                        # Of a class whose instances are frozen.
                        pass
                raise failure
            if error is not None:
                raise error
            return self._result  # type: ignore[return-value]
        finally:
            failure = error = inner = None

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

    def _see_through(self, native: Callable[[], T]) -> None:
        """Until it has ended. Again, it goes on with that."""
        if threading.current_thread() is threading.main_thread():
            self._attend(native)
        else:
            self._work(native)

    def _work(self, native: Callable[[], T]) -> None:
        """The native part."""
        if not self._begun.acquire(False):
            return
        _here.native.append(self)
        try:
            self._result = native()
            if isinstance(self._result, dict):
                self._outcome = (self._result,)
        except BaseException as error:
            self._error = error
            if isinstance(error, MdeError):
                self._outcome = (cast(Dict[str, Any], error.document),)
        finally:
            _here.native.pop()
            self._finished = True
            if self._inbox is not None:
                self._inbox.put(None)

    def _attend(self, native: Callable[[], T]) -> None:
        """Has the native part run in a thread of its own, and runs its callbacks here."""
        try:
            # Whatever a signal handler raises, and wherever here: what is done twice does no harm, and a message that
            # gets lost is not waited for.
            begun = stopped = False
            while not self._finished:
                try:
                    if self._inbox is None:
                        self._inbox = queue.SimpleQueue()
                    if self._failure is not None and self._stop is not None and not stopped:
                        self._stop.trigger()
                        stopped = True
                    if self._failure is not None and self._begun.acquire(False):
                        # It has not begun, and need not: a thread that is about to finds nothing to do.
                        self._finished = True
                        break
                    if not begun:
                        # Again, after a signal in here: the thread that comes second finds nothing to do.
                        self._begin(native)
                        begun = True
                        continue
                    turn = self._inbox.get(timeout=_WAIT_S)
                    if turn is not None:
                        self._take(turn)
                    self._check_process()
                except queue.Empty:
                    self._check_process()
                except BaseException as interrupt:
                    if self._stop is None:
                        # Nothing stops it, nobody needs it: it ends by itself.
                        raise
                    # Stopped in the next round, where the next signal is caught as well.
                    if self._failure is None:
                        self._failure = interrupt
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
