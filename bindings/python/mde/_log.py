"""The library's log lines, as records of `logging`."""

import logging
import threading
from typing import Optional

from ._errors import error
from ._kept import Kept
from ._library import FREE_FN, LOG_FN, library

# mde.h: MDE_LOG_ERROR to MDE_LOG_DEBUG.
_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}

_loggers: "Kept[logging.Logger]" = Kept()


class _Here(threading.local):
    """How many handlers this thread is in: one that calls the library is told of that call's lines."""

    handlers = 0


_here = _Here()


def handling() -> bool:
    """Whether this thread is inside a log handler, and so inside a call of some client."""
    return _here.handlers > 0


def _on_line(number: Optional[int], level: int, message: bytes) -> None:
    _here.handlers += 1
    try:
        # What this raises ctypes hands to sys.unraisablehook(): a call must not fail for a line of its log.
        _loggers[number].log(_LEVELS.get(level, logging.DEBUG), "%s", message.decode("utf-8", "replace"))
    finally:
        _here.handlers -= 1


# One for all loggers: the line it belongs to names its own.
_CALLBACK = LOG_FN(_on_line)


def log_to(logger: Optional[logging.Logger], level: Optional[int] = None) -> None:
    """Sends the library's log lines to a logger, for the whole process. None ends that.

    ``level`` is one of `logging`; the lines below it are not made at all. Without it the logger's own counts, as it is
    now. Lines come from all threads that call the library, and hold no secrets.
    """
    if handling():
        raise RuntimeError("a log handler cannot change where the log goes; the library is in the midst of a line")
    if logger is not None and not isinstance(logger, logging.Logger):
        raise TypeError(f"logger must be a logging.Logger or None, not {type(logger).__name__}")
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
