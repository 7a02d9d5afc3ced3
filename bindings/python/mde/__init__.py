"""Investigation packages of Microsoft Defender for Endpoint, through the library libmde.

    import mde

    with mde.Client(tenant_id="…", client_id="…", client_secret="…") as client:
        fetched = client.fetch_package("49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9", "case 4711", "4711.zip")
        print(fetched["package"]["sha256"])

docs/python.md is the guide. mde.h is the reference: what each function does, its permission and its quota.
"""

import atexit
import ctypes
from typing import Any, Optional

from . import _ending, _log
from ._call import Call
from ._cancel import Cancel
from ._client import Client, Option, Progress, Signer, SigningRequest, TokenProvider, finish, progress_arguments
from ._devices import Device, Devices
from ._documents import (
    Access,
    AccessAddress,
    AccessDocument,
    AccessFunction,
    AccessHost,
    AccessIdentity,
    AccessProxy,
    AccessStep,
    AccessTimes,
    ActionDocument,
    Collected,
    DevicePackage,
    Downloaded,
    Ended,
    Entry,
    ErrorMembers,
    Failure,
    Fetched,
    FetchedPackages,
    Found,
    Inspected,
    InspectedPackage,
    Listed,
    Machine,
    MachineAction,
    MachineCheck,
    Package,
    PackageDocument,
    PackageUri,
    PackagesSummary,
    ProgressEvent,
    QuotaLog,
    QuotaStatus,
    QuotaWindow,
    RefusedPackage,
    UnsafeEntry,
)
from ._errors import (
    ActionEndedError,
    AlreadyRunningError,
    CancelledError,
    ClosedError,
    ConfigError,
    DeadlineError,
    DiskFullError,
    FileError,
    ForkedError,
    IncompleteError,
    IntegrityError,
    InternalError,
    LimitError,
    LocalError,
    MdeError,
    NetworkError,
    NotFoundError,
    NotReadyError,
    OutcomeUnknownError,
    RateLimitedError,
    ServiceError,
    SignInError,
    UnsafeError,
    UsageError,
    error,
)
from ._library import LibraryNotFoundError, library, load, take_string
from ._log import log_to
from ._status import Status
from ._text import Path, Seconds, encode, encode_path

__version__ = "0.1.0"

# It runs before that of `logging`, which was imported earlier, and after those that a program registers later.
atexit.register(_ending.end_all, _log.silence, _log.is_silent)


def version() -> str:
    """The version of the native library."""
    text: bytes = library().mde_version()
    return text.decode("ascii")


def abi_version() -> int:
    """The ABI of the native library."""
    number: int = library().mde_abi_version()
    return number


def status_name(status: int) -> str:
    """The native library's name of a status; "unknown" for other numbers."""
    text: bytes = library().mde_status_name(status)
    return text.decode("ascii")


def json_get(document: str, pointer: str) -> Optional[str]:
    """Reads one value of a JSON text by a JSON pointer (RFC 6901), with the native library's reader.

    A string without its quotes, any other value as JSON text, None for null and for a missing value.
    """
    out = ctypes.c_void_p()
    encoded = encode("document", document), encode("pointer", pointer)
    status = library().mde_json_get(*encoded, ctypes.byref(out))
    value = take_string(out)
    if status != Status.OK:
        raise error(status)
    return None if value is None else value.decode("utf-8")


def inspect_package(
    path: Path,
    *,
    progress: Optional[Progress] = None,
    timeout: Optional[Seconds] = None,
    cancel: Optional[Cancel] = None,
) -> Inspected:
    """Checks a package on disk without unpacking it, and lists what is in it."""
    arguments = [encode_path("path", path)] + progress_arguments(progress)

    def inspect(stop: Optional[int]) -> Any:
        out = ctypes.c_void_p()
        return finish(library().mde_inspect_package(*arguments, stop, ctypes.byref(out)), out)

    inspected: Inspected = Call[Any](None, progress).stoppable(inspect, cancel, timeout)
    return inspected


def read_packages(folder: Path) -> FetchedPackages:
    """How the job of ``fetch_packages`` in a folder stands, also while a call works on it. Nothing is sent or written."""
    encoded = encode_path("folder", folder)

    def read() -> Any:
        out = ctypes.c_void_p()
        return finish(library().mde_read_packages(encoded, ctypes.byref(out)), out)

    stands: FetchedPackages = Call[Any]().run(read)
    return stands


__all__ = [
    "Access",
    "AccessAddress",
    "AccessDocument",
    "AccessFunction",
    "AccessHost",
    "AccessIdentity",
    "AccessProxy",
    "AccessStep",
    "AccessTimes",
    "ActionDocument",
    "ActionEndedError",
    "AlreadyRunningError",
    "Cancel",
    "CancelledError",
    "Client",
    "ClosedError",
    "Collected",
    "ConfigError",
    "DeadlineError",
    "Device",
    "DevicePackage",
    "Devices",
    "DiskFullError",
    "Downloaded",
    "Ended",
    "Entry",
    "ErrorMembers",
    "Failure",
    "Fetched",
    "FetchedPackages",
    "FileError",
    "ForkedError",
    "Found",
    "IncompleteError",
    "Inspected",
    "InspectedPackage",
    "IntegrityError",
    "InternalError",
    "LibraryNotFoundError",
    "LimitError",
    "Listed",
    "LocalError",
    "Machine",
    "MachineAction",
    "MachineCheck",
    "MdeError",
    "NetworkError",
    "NotFoundError",
    "NotReadyError",
    "Option",
    "OutcomeUnknownError",
    "Package",
    "PackageDocument",
    "PackageUri",
    "PackagesSummary",
    "Path",
    "Progress",
    "ProgressEvent",
    "QuotaLog",
    "QuotaStatus",
    "QuotaWindow",
    "RateLimitedError",
    "RefusedPackage",
    "Seconds",
    "ServiceError",
    "SignInError",
    "Signer",
    "SigningRequest",
    "Status",
    "TokenProvider",
    "UnsafeEntry",
    "UnsafeError",
    "UsageError",
    "abi_version",
    "inspect_package",
    "json_get",
    "load",
    "log_to",
    "read_packages",
    "status_name",
    "version",
]
