"""The end of the interpreter: calls of other threads end before it.

After the functions of `atexit`, Python stops every thread that asks for its lock, wherever it is. A thread that is
stopped inside a callback never returns to the library. So an exit function ends the calls that still run and the log,
and waits for them. These calls and later ones raise SystemExit, which ends their thread in silence. Only the main
thread may go on, since it ends the interpreter itself.
"""

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Set

if TYPE_CHECKING:
    from ._call import Call

LONGEST_S = 5.0
"""How long the end waits for callbacks of the program. The calls themselves end within milliseconds."""


class _State:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # A signal handler may run a call in the midst of another one.
        self.changed = threading.Condition(threading.RLock())
        self.running: "Set[Call[Any]]" = set()
        self.is_over = False


_state = _State()


if hasattr(os, "register_at_fork"):
    # The calls belong to threads of the parent.
    os.register_at_fork(after_in_child=_state.reset)


def over() -> SystemExit:
    """What a call of another thread raises at the end. It ends the thread, and nothing is printed."""
    return SystemExit("the Python interpreter is ending, and with it the calls of its threads")


def check(is_of_main_thread: bool) -> None:
    """Refuses what another thread begins after the exit function."""
    if _state.is_over and not is_of_main_thread:
        raise over()


def begin(call: "Call[Any]", is_of_main_thread: bool) -> None:
    """Counts a call that enters the library."""
    with _state.changed:
        check(is_of_main_thread)
        _state.running.add(call)


def end(call: "Call[Any]") -> None:
    """Counts it no longer."""
    with _state.changed:
        _state.running.discard(call)
        _state.changed.notify_all()


def end_all(silence: Callable[[], None], is_silent: Callable[[], bool]) -> None:
    """The exit function. `silence` ends the log, and `is_silent` is whether its last line is through."""
    until = time.monotonic() + LONGEST_S
    with _state.changed:
        _state.is_over = True
        running = list(_state.running)
    for call in running:
        call.fail(over())
    silence()
    with _state.changed:
        while (_state.running or not is_silent()) and time.monotonic() < until:
            _state.changed.wait(0.01)
