"""The status codes of ``mde.h``, with the same names and numbers."""

from enum import IntEnum
from typing import Optional, Tuple, Type


class Status(IntEnum):
    """The result of a call. A code of a later version becomes a new member."""

    OK = 0

    NULL = 1
    UTF8 = 2
    INVALID_ARGUMENT = 3
    CONFIG = 4
    CLOSED = 5
    FORKED = 6

    TOKEN = 20
    UNAUTHORIZED = 21
    FORBIDDEN = 22

    RESOLVE = 40
    CONNECT = 41
    TLS = 42
    PROXY = 43
    BROKEN = 44
    PROTOCOL = 45

    BAD_REQUEST = 60
    NOT_FOUND = 61
    ALREADY_RUNNING = 62
    NOT_READY = 63
    ACTION_FAILED = 64
    ACTION_TIMED_OUT = 65
    ACTION_CANCELLED = 66
    UNSUPPORTED_DEVICE = 67
    OUTCOME_UNKNOWN = 68
    SERVICE = 69
    INCOMPLETE = 70

    RATE_LIMITED = 80
    THROTTLED = 81
    DEADLINE = 82
    CANCELLED = 83

    FILE = 100
    DISK_FULL = 101
    INTEGRITY = 102
    UNSAFE = 103

    INTERNAL = 900

    @classmethod
    def _missing_(cls, value: object) -> Optional["Status"]:
        # A later version of the library may know more codes than this module.
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = "UNKNOWN_%d" % value
        unknown._value_ = value
        return unknown

    def __reduce_ex__(self, _protocol: object) -> "Tuple[Type[Status], Tuple[int]]":
        # By number: Python 3.11 would look for the name, which an unknown code does not have everywhere.
        return self.__class__, (int(self),)
