"""One call of the library, which may take long: its thread, Ctrl-C, and its callbacks.

Python runs signal handlers only in the main thread, between two steps of Python code. While the main thread is inside
the library, Ctrl-C would wait until the call is over. So a call of the main thread runs in a thread made for it.
Meanwhile the main thread waits for messages, and a signal interrupts that wait. Callbacks come to the main thread as
messages, so they run in the thread that made the call. Calls of other threads run in these threads: no signal
handler ever runs there.

signal.set_wakeup_fd() is no alternative. A process has only one, the event loop uses it, and it does not report what
Python's handler did.

When a callback or signal handler raises, the exception gets the library's documents of the call as OUTCOMES.
"""

import os
import queue
import sys
import threading
import time
from typing import Any, Callable, Dict, Generic, List, Optional, Tuple, TypeVar, cast

from . import _ending
from ._cancel import Cancel, Stop
from ._errors import MdeError, error_with_message
from ._status import Status
from ._text import Seconds, deadline_ms

T = TypeVar("T")

OUTCOMES = "mde_outcomes"
"""The attribute of an exception with the outcomes of the calls that it passed through."""

# The interval at which a waiting thread checks its state, since a message may be lost.
_CHECK_S = 0.05
# The interval at which the main thread checks for a signal. On Windows a signal does not interrupt the wait. On other
# systems it does, unless it comes just before the wait.
_WAIT_S = _CHECK_S if sys.platform == "win32" else 0.25


class _Calls(threading.local):
    """The calls of this thread."""

    def __init__(self) -> None:
        # `native`: the calls whose native part runs in this thread. `made`: the innermost call that it waits for.
        self.native: List["Call[Any]"] = []
        self.made: "Optional[Call[Any]]" = None


_here = _Calls()


def current() -> "Call[Any]":
    """The call whose native part runs in this thread. A callback in this thread belongs to it."""
    return _here.native[-1]


def waits_for(owner: object) -> bool:
    """Whether this thread is inside a callback of a call of this owner."""
    call = _here.made
    while call is not None:
        if call.owner is owner:
            return True
        call = call.outer
    return False


def check_not_for_token(owner: object) -> None:
    """Refuses a call of this owner in a callback that gets or signs for the owner's token.

    The library finds that by the thread, but a call of the main thread runs in another one.
    """
    call = _here.made
    while call is not None:
        if call.owner is owner and call.gets_token:
            raise error_with_message(
                Status.TOKEN,
                "the callback that provides the token, or signs for it, used the client that is waiting for it; give it "
                "another client",
                "token",
            )
        call = call.outer


class _Callback:
    """One run of a callback in the thread that made the call."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.answer: Any = None
        self.succeeded = False
        self.over = threading.Lock()
        self.over.acquire()


class Call(Generic[T]):
    """One call, from its start to its result."""

    def __init__(self, owner: object = None, progress: Optional[Callable[[Any], object]] = None) -> None:
        self.owner = owner
        self.progress = progress
        # The call in whose callback this one is made.
        self.outer: "Optional[Call[Any]]" = None
        # Whether the callback that runs now is the one for the token or its signature.
        self.gets_token = False
        self._stop: Optional[Stop] = None
        self._failure: Optional[BaseException] = None
        self._error: Optional[BaseException] = None
        self._result: Optional[T] = None
        # The document of this call, if it has one. `_inner`: a failure and the documents of the inner calls it passed.
        self._outcome: Tuple[Dict[str, Any], ...] = ()
        self._inner: Optional[Tuple[BaseException, Tuple[Dict[str, Any], ...]]] = None
        self._inbox: "Optional[queue.SimpleQueue[Optional[_Callback]]]" = None
        self._begun = threading.Lock()
        self._finished = False
        self._abandoned = False
        self._process = os.getpid()

    def stoppable(
        self, native: Callable[[Optional[int]], T], cancel: Optional[Cancel], timeout: Optional[Seconds]
    ) -> T:
        """Runs it with a cancel handle. `cancel`, `timeout`, a signal and a failing callback trigger the handle."""
        timeout_ms = deadline_ms("timeout", timeout)
        if cancel is not None and not isinstance(cancel, Cancel):
            raise TypeError("cancel must be a mde.Cancel, not %s" % type(cancel).__name__)
        stop = self._stop = Stop()
        if self._failure is not None:
            # It was stopped before it could be.
            stop.trigger()

        def with_handle() -> T:
            left = cancel._remaining_ms() if cancel is not None else 0
            pointer = stop.open(min(timeout_ms, left) if timeout_ms and left else timeout_ms or left)
            try:
                if cancel is not None:
                    cancel._attach(stop)
                if left == 1 or timeout_ms == 1:
                    # No handle can start expired, and a quick call would succeed within its one millisecond.
                    time.sleep(0.002)
                return native(pointer)
            finally:
                if cancel is not None:
                    cancel._detach(stop)
                stop.close()

        return self.run(with_handle)

    def run(self, native: Callable[[], T]) -> T:
        """Runs it, and raises what a callback, a signal or the call itself raised."""
        # Python 3.10 and newer runs signal handlers only at function calls and when a loop starts over. Where the
        # outcome could be lost, this code has neither, or it catches what the handler raises.
        self.outer = _here.made
        try:
            _here.made = self
            try:
                self._see_through(native)
            except BaseException as interrupt:
                if self._failure is None:
                    self._failure = interrupt
                if self._stop is not None and not self._finished:
                    # The signal came as the loop started over.
                    self._see_through(native)
        except BaseException as interrupt:
            if self._failure is None:
                self._failure = interrupt
        _here.made = self.outer
        failure, error, outcomes, inner = self._failure, self._error, self._outcome, self._inner
        # The traceback and this frame refer to each other; this breaks the cycle.
        self._failure = self._error = self._inner = None
        try:
            if failure is not None:
                if inner is not None and inner[0] is failure:
                    outcomes = inner[1] + outcomes
                # Its class may have a __setattr__ that refuses the attribute.
                failure.__dict__[OUTCOMES] = outcomes
                if self.outer is not None:
                    self.outer._inner = failure, outcomes
                if failure.__context__ is None and failure is not error:
                    # A traceback then shows the library's error, too.
                    try:
                        failure.__context__ = error
                    except AttributeError:
                        # Instances of its class are frozen.
                        pass
                raise failure
            if error is not None:
                raise error
            return self._result  # type: ignore[return-value]
        finally:
            failure = error = inner = None

    def ask_for_token(self, function: Callable[[], Any]) -> Tuple[bool, Any]:
        """The same as ask(), for the callback that gets a token or signs for one."""
        self.gets_token = True
        try:
            return self.ask(function)
        finally:
            self.gets_token = False

    def ask(self, function: Callable[[], Any]) -> Tuple[bool, Any]:
        """Runs a callback in the thread that made the call. Returns whether it succeeded, and its result.

        If it raises, the call is stopped and raises the same exception at its end.
        """
        inbox = self._inbox
        callback = _Callback(function)
        if inbox is None:
            self._run_callback(callback)
        elif self._failure is None:
            inbox.put(callback)
            while not callback.over.acquire(timeout=_CHECK_S):
                # A signal between the arrival of a message and its reading loses the message.
                if self._failure is not None or self._abandoned:
                    return False, None
        return callback.succeeded, callback.answer

    def fail(self, failure: BaseException) -> None:
        """Stops the call, which then raises `failure`."""
        if self._failure is None:
            self._failure = failure
        if self._stop is not None:
            self._stop.trigger()

    def _run_callback(self, callback: _Callback) -> None:
        try:
            if self._failure is None:
                callback.answer = callback.function()
                callback.succeeded = True
        except BaseException as failure:
            self.fail(failure)
        finally:
            callback.over.release()

    def _see_through(self, native: Callable[[], T]) -> None:
        """Runs the call until it has ended. A second call continues the first."""
        if threading.current_thread() is threading.main_thread():
            self._attend(native)
        else:
            self._work(native)

    def _work(self, native: Callable[[], T]) -> None:
        """Runs the native part, once."""
        if not self._begun.acquire(False):
            return
        _here.native.append(self)
        try:
            # With an inbox, the main thread waits for this call.
            _ending.begin(self, self._inbox is not None or threading.current_thread() is threading.main_thread())
            self._result = native()
            if isinstance(self._result, dict):
                self._outcome = (self._result,)
        except BaseException as error:
            self._error = error
            if isinstance(error, MdeError):
                self._outcome = (cast(Dict[str, Any], error.document),)
        finally:
            _here.native.pop()
            _ending.end(self)
            self._finished = True
            if self._inbox is not None:
                self._inbox.put(None)

    def _attend(self, native: Callable[[], T]) -> None:
        """Runs the native part in a separate thread, and its callbacks in this one."""
        try:
            # A signal handler may raise at any point in here. So every step may be repeated, and nothing waits for a
            # lost message.
            begun = stopped = False
            while not self._finished:
                try:
                    if self._inbox is None:
                        self._inbox = queue.SimpleQueue()
                    if self._failure is not None and self._stop is not None and not stopped:
                        self._stop.trigger()
                        stopped = True
                    if self._failure is not None and self._begun.acquire(False):
                        # The call has not begun and is not needed. A thread that starts now finds nothing to do.
                        self._finished = True
                        break
                    if not begun:
                        # A signal in here repeats this step. The second thread finds nothing to do.
                        self._begin(native)
                        begun = True
                        continue
                    callback = self._inbox.get(timeout=_WAIT_S)
                    if callback is not None:
                        self._run_callback(callback)
                    self._check_process()
                except queue.Empty:
                    self._check_process()
                except BaseException as interrupt:
                    if self._stop is None:
                        # This call has no cancel handle. It ends by itself, and its result is not needed.
                        raise
                    # The next round stops the call, where the next signal is caught as well.
                    if self._failure is None:
                        self._failure = interrupt
        finally:
            self._abandoned = True

    def _begin(self, native: Callable[[], T]) -> None:
        begun = threading.Thread(target=self._work, args=(native,), name="mde", daemon=True)
        try:
            begun.start()
        except RuntimeError:
            # No thread can be started, as when the interpreter is shutting down. Signals then wait for the call.
            if not self._begun.locked():
                self._inbox = None
                self._work(native)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            # The callback forked. This is the child, in which the thread of the call does not exist.
            self._finished = True
            self._error = error_with_message(
                Status.FORKED, "the call was made before a fork, in another process; make a new client here"
            )
