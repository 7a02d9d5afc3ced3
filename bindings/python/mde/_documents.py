"""Types of the documents that calls return. docs/json.md describes them.

Later versions may add members. At run time all of these are plain dicts.
"""

from typing import Any, Dict, List, TypedDict, Union

MachineAction = Dict[str, Any]
"""A machine action exactly as the service sent it. Only ``id`` is certain."""

Machine = Dict[str, Any]
"""A device record exactly as the service sent it. Only ``id`` is certain."""


class Collected(TypedDict):
    """From ``collect_package``."""

    action: MachineAction
    adopted: bool


class ActionDocument(TypedDict):
    """From ``get_action`` and ``wait_action``."""

    action: MachineAction


class Listed(TypedDict):
    """From ``list_actions``, newest first."""

    actions: List[MachineAction]


class Ended(TypedDict):
    """From ``cancel_action``."""

    action: MachineAction
    cancelled: bool


class MachineCheck(TypedDict):
    """Reasons why a collection on a device may not start or end."""

    id: str
    problems: List[str]


class Found(TypedDict):
    """From ``find_machines``; ``checks`` has the same order as ``machines``."""

    machines: List[Machine]
    checks: List[MachineCheck]
    more: bool


class PackageUri(TypedDict):
    """From ``get_package_uri``. The link is a secret: it gives access to the package."""

    uri: str


class _Package(TypedDict):
    path: str
    bytes: int
    sha256: str
    entries: int
    bytes_uncompressed: int
    missing: List[str]
    bytes_unlisted: int
    same_but_for_case: int


class UnsafeEntry(TypedDict):
    """An entry that could do harm where it is unpacked. ``reason`` follows the name."""

    name: str
    reason: str


class Package(_Package, total=False):
    """A checked package on disk. ``device`` is absent if the file does not look like an investigation package.

    ``unsafe_count`` and ``unsafe_entries``, at most 100 of them, are there if an entry could do harm where it is unpacked.
    """

    device: str
    unsafe_count: int
    unsafe_entries: List[UnsafeEntry]


class _Downloaded(Package):
    action_id: str
    existing: bool


class Downloaded(_Downloaded, total=False):
    """A package that was downloaded."""

    machine_id: str
    computer_name: str


class PackageDocument(TypedDict):
    """From ``download_package``."""

    package: Downloaded


class Fetched(TypedDict):
    """From ``fetch_package``."""

    package: Downloaded
    action: MachineAction
    adopted: bool


class _Entry(TypedDict):
    name: str
    bytes: int
    compressed: int
    crc32: str


class Entry(_Entry, total=False):
    """One entry of a package. ``modified`` is absent if the package does not give the time."""

    modified: str


class InspectedPackage(Package):
    """A package with the list of its entries."""

    files: List[Entry]


class Inspected(TypedDict):
    """From ``inspect_package``."""

    package: InspectedPackage


class _QuotaWindow(TypedDict):
    endpoint: str
    limit: int
    window_s: float


class QuotaWindow(_QuotaWindow, total=False):
    """One endpoint and window. docs/quota.md explains the figures."""

    used: int
    in_flight: int
    queued: int
    available_in_ms: int
    closed_ms: int
    closed_by: str


class _QuotaLog(TypedDict):
    kind: str


class QuotaLog(_QuotaLog, total=False):
    """Where the call log is kept."""

    place: str
    trouble: str


class _QuotaStatus(TypedDict):
    quotas: List[QuotaWindow]
    log: QuotaLog


class QuotaStatus(_QuotaStatus, total=False):
    """From ``get_quota``. ``known`` is false while the tenant of the quota is unknown, and absent otherwise."""

    known: bool


class _AccessStep(TypedDict):
    step: str
    result: str


class AccessStep(_AccessStep, total=False):
    """A step of a check. ``error`` is there if its ``result`` is "failed"."""

    error: "ErrorMembers"


class _AccessIdentity(TypedDict):
    kind: str
    permissions: List[str]


class AccessIdentity(_AccessIdentity, total=False):
    """For whom a token is, as it says itself. ``kind`` is "application", "user" or "unknown"."""

    tenant: str
    application: str
    object: str
    user: str
    expires_at: str


class _AccessFunction(TypedDict):
    function: str
    allowed: bool


class AccessFunction(_AccessFunction, total=False):
    """A function, and the permissions that it lacks."""

    lacks: List[str]


class _AccessProxy(TypedDict):
    because: str


class AccessProxy(_AccessProxy, total=False):
    """The proxy on the way to a host, and what decided about it."""

    address: str
    set_by: str


class _AccessAddress(TypedDict):
    address: str
    used: bool


class AccessAddress(_AccessAddress, total=False):
    """An address that was tried."""

    problem: str


class AccessTimes(TypedDict, total=False):
    """How many milliseconds each phase took that came to its end."""

    lookup: int
    connect: int
    tunnel: int
    tls: int
    first_byte: int


class _AccessHost(TypedDict):
    host: str
    port: int
    proxy: AccessProxy
    addresses: List[AccessAddress]
    ms: AccessTimes


class AccessHost(_AccessHost, total=False):
    """A host, and how far the way to it was open."""

    tls: str
    issuer: str
    http_status: int
    clock_ahead_s: int


class _Access(TypedDict):
    ok: bool
    steps: List[AccessStep]


class Access(_Access, total=False):
    """What a client may do, and how its hosts are reached."""

    identity: AccessIdentity
    functions: List[AccessFunction]
    sign_in_host: AccessHost
    api_host: AccessHost


class AccessDocument(TypedDict):
    """From ``check_access``."""

    access: Access


class _Stage(TypedDict):
    stage: str


class ProgressEvent(_Stage, total=False):
    """The argument of a progress callback. The other members depend on ``stage``."""

    action_id: str
    machine_id: str
    endpoint: str
    wait_ms: int
    adopted: bool
    status: str
    elapsed_ms: int
    next_poll_ms: int
    bytes: int
    total: int
    bytes_per_second: int
    devices: int
    done: int
    failed: int
    skipped: int
    running: int
    ready: int
    downloading: int
    eta_ms: int
    state: str
    package: "Union[Downloaded, RefusedPackage]"
    action: MachineAction
    error: "ErrorMembers"
    problems: List[str]


class _Error(TypedDict):
    status: int
    name: str
    message: str
    retryable: bool


class ErrorMembers(_Error, total=False):
    """The members of a failure document."""

    stage: str
    http_status: int
    service_code: str
    request_id: str
    correlation_id: str
    retry_after_ms: int
    attempts: int
    outcome: str
    action_id: str
    action: MachineAction


class _RefusedPackage(TypedDict):
    path: str
    bytes: int
    sha256: str


class RefusedPackage(_RefusedPackage, total=False):
    """A package that was refused and kept. A damaged one has no contents, from ``entries`` on."""

    action_id: str
    machine_id: str
    computer_name: str
    existing: bool
    entries: int
    bytes_uncompressed: int
    device: str
    missing: List[str]
    bytes_unlisted: int
    same_but_for_case: int
    unsafe_count: int
    unsafe_entries: List[UnsafeEntry]
    files: List[Entry]


class _DevicePackage(TypedDict):
    machine_id: str
    state: str


class DevicePackage(_DevicePackage, total=False):
    """One device of a job. ``error`` is why it has failed, or its last request. ``package`` may be a refused one."""

    package: Union[Downloaded, RefusedPackage]
    action: MachineAction
    adopted: bool
    error: ErrorMembers
    problems: List[str]


class _PackagesSummary(TypedDict):
    devices: int
    done: int
    failed: int
    skipped: int
    unfinished: int
    bytes: int


class PackagesSummary(_PackagesSummary, total=False):
    """How many devices of a job are how far. ``eta_ms`` is the least time that the quota needs for the rest."""

    eta_ms: int


class FetchedPackages(TypedDict):
    """From ``fetch_packages`` and ``read_packages``: the devices in the order given."""

    packages: List[DevicePackage]
    summary: PackagesSummary


class _Failure(TypedDict):
    error: ErrorMembers


class Failure(_Failure, total=False):
    """The document of a failed call, in ``MdeError.document``. ``packages`` and ``summary`` are of ``fetch_packages``."""

    package: RefusedPackage
    packages: List[DevicePackage]
    summary: PackagesSummary
