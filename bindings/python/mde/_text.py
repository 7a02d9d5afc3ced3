"""What Python's values look like at the border: text as UTF-8, times as milliseconds."""

import math
import os
from datetime import timedelta
from typing import Optional, Union

Seconds = Union[int, float, timedelta]
"""A length of time: a number of seconds, or a timedelta."""

Path = Union[str, "os.PathLike[str]"]
"""A path, as text or as a pathlib.Path. The library takes paths in UTF-8 on every system."""

# Ten years. The library's clock counts further, but nobody waits longer.
_LONGEST_MS = 10 * 365 * 24 * 3600 * 1000


def encode(name: str, value: str) -> bytes:
    """Text for an argument of this name, as the library takes it.

    ctypes would pass text with a U+0000 inside, and the library would see what stands before it.
    """
    if not isinstance(value, str):
        raise TypeError("%s must be a str, not %s" % (name, type(value).__name__))
    if "\0" in value:
        raise ValueError("%s holds the character U+0000, which the library cannot take" % name)
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        # Without the text: it may be a secret.
        raise ValueError("%s is not valid Unicode: it holds a lone surrogate" % name) from None


def encode_path(name: str, value: Path) -> bytes:
    """The same for a path."""
    return encode(name, as_text(name, value))


def as_text(name: str, value: Path) -> str:
    """The text of a str or path."""
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        if isinstance(text, str):
            return text
    raise TypeError("%s must be a str or a path of str, not %s" % (name, type(value).__name__))


def milliseconds(name: str, value: Seconds) -> int:
    """A length of time, rounded up to a whole millisecond."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise TypeError(
            "%s must be a number of seconds or a timedelta, not %s" % (name, type(value).__name__)
        )
    if math.isnan(seconds) or seconds < 0:
        raise ValueError("%s must be a number of seconds, 0 or more, not %s" % (name, seconds))
    return min(math.ceil(min(seconds, _LONGEST_MS) * 1000), _LONGEST_MS)


def deadline_ms(name: str, value: Optional[Seconds]) -> int:
    """The same for mde_cancel_new(), to which 0 is no deadline: None is that here, and 0 is at once."""
    if value is None or value == math.inf:
        return 0
    return max(1, milliseconds(name, value))
