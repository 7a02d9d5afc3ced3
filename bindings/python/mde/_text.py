"""Converts arguments for the library: text to UTF-8, times to milliseconds."""

import math
import os
from datetime import timedelta
from typing import Optional, Union

Seconds = Union[int, float, timedelta]
"""A length of time: a number of seconds, or a timedelta."""

Path = Union[str, "os.PathLike[str]"]
"""A path, as text or as a pathlib.Path. The library takes paths in UTF-8 on every system."""

# Ten years, which is longer than anybody waits.
_LONGEST_MS = 10 * 365 * 24 * 3600 * 1000


def encode(name: str, value: str) -> bytes:
    """Encodes an argument. Errors name it.

    U+0000 is refused, since the library would read only the text before it.
    """
    if not isinstance(value, str):
        raise TypeError("%s must be a str, not %s" % (name, type(value).__name__))
    if "\0" in value:
        raise ValueError("%s holds the character U+0000, which the library cannot take" % name)
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        # The original error quotes the text, which may be a secret.
        raise ValueError("%s is not valid Unicode: it holds a lone surrogate" % name) from None


def encode_path(name: str, value: Path) -> bytes:
    """Encodes a path."""
    return encode(name, as_text(name, value))


def as_text(name: str, value: Path) -> str:
    """The text of a str or path."""
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        if isinstance(text, str):
            return text
    raise TypeError("%s must be a str or a path of str, not %s" % (name, type(value).__name__))


def milliseconds(name: str, value: Seconds) -> int:
    """Converts a length of time, rounded up to a whole millisecond."""
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
    """Converts a timeout for mde_cancel_new(). None means no deadline, which is 0 there; 0 means at once."""
    if value is None or value == math.inf:
        return 0
    return max(1, milliseconds(name, value))
