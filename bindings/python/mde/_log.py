"""Passes the library's log lines to `logging`."""

import logging
import threading
from typing import Optional

from . import _ending
from ._errors import error
from ._kept import Kept
from ._library import FREE_FN, LOG_FN, library

# mde.h: MDE_LOG_ERROR to MDE_LOG_DEBUG.
_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}

_loggers: "Kept[logging.Logger]" = Kept()


class _Here(threading.local):
    """The number of handlers that this thread is in. A handler that calls the library receives that call's lines."""

    handlers = 0


_here = _Here()


def handling() -> bool:
    """Whether this thread is inside a log handler, and so inside a call of some client."""
    return _here.handlers > 0


def _on_line(number: Optional[int], level: int, message: bytes) -> None:
    _here.handlers += 1
    try:
        # ctypes passes an exception to sys.unraisablehook(), since a log line must not fail a call.
        _loggers[number].log(_LEVELS.get(level, logging.DEBUG), "%s", message.decode("utf-8", "replace"))
    finally:
        _here.handlers -= 1


# All loggers share it; the number in each line names the logger.
_CALLBACK = LOG_FN(_on_line)


def log_to(logger: Optional[logging.Logger], level: Optional[int] = None) -> None:
    """Sends the library's log lines to a logger, for the whole process. None stops them.

    ``level`` is a level of `logging`, by default the present level of the logger. The library makes no lines below it.
    Lines come from all threads that call the library. They contain no secrets.
    """
    if handling():
        raise RuntimeError("a log handler cannot change where the log goes; call log_to() outside of it")
    if logger is not None and not isinstance(logger, logging.Logger):
        raise TypeError(f"logger must be a logging.Logger or None, not {type(logger).__name__}")
    _ending.check(threading.current_thread() is threading.main_thread())
    if logger is None:
        status = library().mde_log_set(LOG_FN(), None, FREE_FN(), 0)
    else:
        least = logger.getEffectiveLevel() if level is None else level
        native = max((n for n, python in _LEVELS.items() if python >= least), default=0)
        number = _loggers.keep(logger)
        status = library().mde_log_set(_CALLBACK, number, _loggers.free, native)
        if status != 0:
            _loggers.forget(number)
    if status != 0:
        raise error(status)


def silence() -> None:
    """Stops the log, if it goes anywhere."""
    if not is_silent():
        log_to(None)


def is_silent() -> bool:
    """Whether no line is sent and none is under way."""
    return len(_loggers) == 0
