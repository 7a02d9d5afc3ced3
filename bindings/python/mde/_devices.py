"""Jobs over many devices: the argument, and the devices as they end."""

import json
import queue
import threading
from typing import Any, Callable, Dict, Generator, Iterable, Mapping, Optional, Set, TypedDict, Union

from . import _documents as documents
from ._call import Call, check_not_for_token
from ._errors import IncompleteError, error_with_message
from ._status import Status

# The interval at which a waiting thread checks that the call still runs.
_CHECK_S = 0.25


class _Device(TypedDict):
    machine_id: str


class Device(_Device, total=False):
    """A device of a job, with a reason of its own, and the name that its package gets in the folder."""

    comment: str
    file: str


Devices = Union[Iterable[Union[str, Device]], Mapping[str, Any]]
"""Device ids and ``Device`` dicts; or the result of ``find_machines``; or ``{"devices": […], "retry": "failed"}``."""


def devices_json(devices: Optional[Devices]) -> Optional[bytes]:
    """The devices as the library takes them. None resumes the job in the folder."""
    if devices is None:
        return None
    if isinstance(devices, (str, bytes)) or not isinstance(devices, Iterable):
        raise TypeError(
            "devices must be several device ids, a result of find_machines or None, not %s" % type(devices).__name__
        )
    plain: Any = devices if isinstance(devices, Mapping) else list(devices)
    # JSON escapes all that is not ASCII. The library refuses half of a surrogate pair.
    return json.dumps(plain).encode("ascii")


def as_they_end(
    owner: object, perform: "Callable[[Call[Any]], Any]"
) -> Generator[documents.DevicePackage, None, None]:
    """Performs a call in a thread of its own, and yields each device once, when it has its outcome.

    The rest comes from the document of the call: some outcomes have no event, such as those of earlier calls.
    """
    check_not_for_token(owner)
    ended: "queue.SimpleQueue[Optional[documents.DevicePackage]]" = queue.SimpleQueue()
    outcome: Dict[str, Any] = {}

    def take(event: documents.ProgressEvent) -> None:
        if event["stage"] == "ended":
            device: Any = {name: value for name, value in event.items() if name != "stage"}
            ended.put(device)

    call = Call[Any](owner, take)

    def work() -> None:
        try:
            outcome["document"] = perform(call)
        except BaseException as error:
            outcome["error"] = error
        ended.put(None)

    # The end of the interpreter does not wait for it.
    worker = threading.Thread(target=work, name="mde", daemon=True)
    seen: Set[str] = set()
    try:
        worker.start()
        device = _next(ended, worker, outcome)
        while device is not None:
            seen.add(device["machine_id"])
            yield device
            device = _next(ended, worker, outcome)
    except BaseException as failure:
        # The caller wants no more, or a signal has come. The exception gets what became of the call.
        call.fail(failure)
        if worker.ident is not None:
            worker.join()
        raise
    error = outcome.get("error")
    if isinstance(error, IncompleteError):
        outcome["document"] = error.document
    elif error is not None:
        raise error
    elif not outcome:
        raise error_with_message(
            Status.FORKED, "the call was made before a fork, in another process; make a new client here"
        )
    for device in outcome["document"]["packages"]:
        if device["machine_id"] not in seen:
            yield device


def _next(
    ended: "queue.SimpleQueue[Optional[documents.DevicePackage]]", worker: threading.Thread, outcome: Dict[str, Any]
) -> Optional[documents.DevicePackage]:
    """The next device that has ended. None: the call has."""
    while True:
        try:
            return ended.get(timeout=_CHECK_S)
        except queue.Empty:
            # A forked child does not have the thread.
            if not worker.is_alive() and not outcome:
                return None
