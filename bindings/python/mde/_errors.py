"""The exceptions of failed calls."""

from typing import Any, Dict, List, Optional, Tuple, Type, cast

from ._documents import DevicePackage, Failure, MachineAction, PackagesSummary, RefusedPackage
from ._status import Status


class MdeError(Exception):
    """A call failed. ``document`` has everything the library reported (docs/json.md)."""

    def __init__(self, status: int, document: Optional[Failure] = None) -> None:
        # An error can be pickled only if `args` has both.
        super().__init__(status, document)
        self.status = Status(status)
        self.document: Failure = document if document is not None else cast(Failure, {"error": {}})

    @property
    def _error(self) -> Dict[str, Any]:
        return cast(Dict[str, Any], self.document["error"])

    @property
    def name(self) -> str:
        """The name of the status, for example ``rate_limited``."""
        return str(self._error.get("name", self.status.name.lower()))

    @property
    def message(self) -> str:
        """What happened and what to do, in English, without secrets."""
        return str(self._error.get("message", self.name))

    @property
    def stage(self) -> Optional[str]:
        """The stage of the call: token, quota, send, reply, wait, link, download or verify."""
        return self._error.get("stage")

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without any change."""
        return bool(self._error.get("retryable", False))

    @property
    def retry_after(self) -> Optional[float]:
        """How long to wait before trying again, in seconds. None if it is not known."""
        after = self._error.get("retry_after_ms")
        return None if after is None else float(after) / 1000

    @property
    def http_status(self) -> Optional[int]:
        """The status of the HTTP reply that made it fail."""
        return self._error.get("http_status")

    @property
    def outcome(self) -> Optional[str]:
        """``"unknown"`` if the request may have been carried out although the call failed. Check before repeating."""
        return self._error.get("outcome")

    @property
    def service_code(self) -> Optional[str]:
        """The service's or sign-in service's own code."""
        return self._error.get("service_code")

    @property
    def request_id(self) -> Optional[str]:
        """The id that the service's support needs."""
        return self._error.get("request_id")

    @property
    def correlation_id(self) -> Optional[str]:
        """The id that the sign-in service's support needs, together with ``request_id``."""
        return self._error.get("correlation_id")

    @property
    def attempts(self) -> Optional[int]:
        """How many requests were sent."""
        return self._error.get("attempts")

    @property
    def action_id(self) -> Optional[str]:
        """The machine action that this is about."""
        return self._error.get("action_id")

    @property
    def action(self) -> Optional[MachineAction]:
        """That machine action as last seen."""
        return self._error.get("action")

    @property
    def package(self) -> Optional[RefusedPackage]:
        """The package that was refused and kept, as unsafe or damaged."""
        return self.document.get("package")

    @property
    def packages(self) -> Optional[List[DevicePackage]]:
        """How each device stands, if the call was ``fetch_packages``."""
        return self.document.get("packages")

    @property
    def summary(self) -> Optional[PackagesSummary]:
        """How many devices are how far, if the call was ``fetch_packages``."""
        return self.document.get("summary")

    def __str__(self) -> str:
        return "%s (%s, %d)" % (self.message, self.name, self.status)


class UsageError(MdeError):
    """The call or the options are wrong (codes 1 to 19)."""


class ConfigError(UsageError):
    """An option is unknown, has an unusable value, or does not fit the others."""


class ClosedError(UsageError):
    """The client was closed."""


class ForkedError(UsageError):
    """The client was made before a fork, in another process. Make a new one in this process."""


class SignInError(MdeError):
    """The sign-in failed, or the application lacks a permission (codes 20 to 39)."""


class NetworkError(MdeError):
    """The service could not be reached, or something else answered (codes 40 to 59)."""


class ServiceError(MdeError):
    """The service refused or failed (codes 60 to 79)."""


class NotFoundError(ServiceError):
    """The device, action or JSON member does not exist."""


class AlreadyRunningError(ServiceError):
    """A collection already runs on the device; ``action_id`` names it where it could be found."""


class NotReadyError(ServiceError):
    """The action is not finished."""


class ActionEndedError(ServiceError):
    """The action ended without success: it failed, timed out or was cancelled, as ``status`` says."""


class OutcomeUnknownError(ServiceError):
    """The request may have been carried out, but neither a reply nor the list of actions tells."""


class IncompleteError(ServiceError):
    """Every device has its outcome, but not every package is there. ``packages`` has all devices."""


class LimitError(MdeError):
    """The quota or the time ran out, or the call was cancelled (codes 80 to 99)."""


class RateLimitedError(LimitError):
    """The quota is used up, by the library's count or the service's. See ``retry_after``."""


class DeadlineError(LimitError, TimeoutError):
    """The deadline passed before the call was complete."""


class CancelledError(LimitError):
    """A Cancel ended the call."""


class LocalError(MdeError):
    """A file, the disk or a package on this host caused the failure (codes 100 to 119)."""


class FileError(LocalError):
    """A file could not be read or written. The message names it."""


class DiskFullError(LocalError):
    """The disk is full. The same call resumes when there is room."""


class IntegrityError(LocalError):
    """A package is damaged or cut short. ``package`` says where the download is kept."""


class UnsafeError(LocalError):
    """A package could do harm where it is unpacked, or cannot be checked. It is kept; ``package`` lists why."""


class InternalError(MdeError):
    """A defect in the library was contained. Please report it."""


_OWN: Dict[int, Type[MdeError]] = {
    Status.CONFIG: ConfigError,
    Status.CLOSED: ClosedError,
    Status.FORKED: ForkedError,
    Status.NOT_FOUND: NotFoundError,
    Status.ALREADY_RUNNING: AlreadyRunningError,
    Status.NOT_READY: NotReadyError,
    Status.ACTION_FAILED: ActionEndedError,
    Status.ACTION_TIMED_OUT: ActionEndedError,
    Status.ACTION_CANCELLED: ActionEndedError,
    Status.OUTCOME_UNKNOWN: OutcomeUnknownError,
    Status.INCOMPLETE: IncompleteError,
    Status.RATE_LIMITED: RateLimitedError,
    Status.THROTTLED: RateLimitedError,
    Status.DEADLINE: DeadlineError,
    Status.CANCELLED: CancelledError,
    Status.FILE: FileError,
    Status.DISK_FULL: DiskFullError,
    Status.INTEGRITY: IntegrityError,
    Status.UNSAFE: UnsafeError,
    Status.INTERNAL: InternalError,
}

# The families of mde.h have fixed ranges, so a new code finds its class.
_FAMILIES: Tuple[Tuple[int, int, Type[MdeError]], ...] = (
    (1, 19, UsageError),
    (20, 39, SignInError),
    (40, 59, NetworkError),
    (60, 79, ServiceError),
    (80, 99, LimitError),
    (100, 119, LocalError),
)


def error_class(status: int) -> Type[MdeError]:
    """The class of errors with this status. A status of a later version gets the class of its range."""
    own = _OWN.get(status)
    if own is not None:
        return own
    for first, last, family in _FAMILIES:
        if first <= status <= last:
            return family
    return MdeError


def error(status: int, document: Optional[Failure] = None) -> MdeError:
    """The error for a failed call."""
    return error_class(status)(status, document)


def error_with_message(status: Status, message: str, stage: Optional[str] = None) -> MdeError:
    """An error with a document made here, where the library returns none."""
    name = status.name.lower()
    own: Failure = {
        "error": {"status": int(status), "name": name, "message": message, "retryable": False}
    }
    if stage is not None:
        own["error"]["stage"] = stage
    return error(status, own)
