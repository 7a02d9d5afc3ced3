"""The client: one identity against one service, and the operations."""

import collections.abc
import ctypes
import json
import os
import threading
import time
import warnings
from datetime import timedelta
from types import TracebackType
from typing import Any, Callable, Generator, List, Mapping, NamedTuple, NoReturn, Optional, Tuple, Type, Union

from . import _documents as documents
from ._call import Call, check_not_for_token, current, waits_for
from ._cancel import Cancel
from ._devices import Devices, as_they_end, devices_json
from ._errors import error, error_with_message
from ._fork import Forkable
from ._kept import Kept
from ._library import PROGRESS_FN, SIGN_FN, TOKEN_FN, library, take_string
from ._log import handling
from ._status import Status
from ._text import Path, Seconds, as_text, encode, encode_path, milliseconds

Progress = Callable[[documents.ProgressEvent], object]
"""Receives the events of a call, in the thread that made the call. If it raises, the call stops."""

TokenProvider = Callable[[str], Union[str, Tuple[str, Seconds]]]
"""Gets an access token for a scope: the token, or the token and how long it is valid from now on."""



class SigningRequest(NamedTuple):
    """What a signer is asked to sign."""

    algorithm: str
    """``PS256`` (RSA-PSS with a salt of 32 bytes) or ``RS256`` (PKCS#1 v1.5), both with SHA-256."""

    data: bytes
    """The text to hash and sign. Its header names the certificate that is in use (docs/sign-in.md)."""

    time_left: Optional[float]
    """The seconds that the call has left, or None without a deadline."""


Signer = Callable[[SigningRequest], bytes]
"""Makes the bare signature of a request with the key of ``client_certificate``, wherever that key is.

It may raise when ``time_left`` is over. Any other exception stops the call."""

Option = Union[str, int, float, bool, timedelta, "os.PathLike[str]"]
"""What an option may be set to."""

DURATIONS = ("connect_timeout", "idle_timeout", "timeout", "wait_timeout", "poll_interval")
"""Options that may be set in seconds or as a timedelta: `timeout=30` is `timeout_ms=30000`."""


def finish(status: int, out: ctypes.c_void_p) -> Any:
    """Returns the document of a finished call, or raises its error. Frees the native string."""
    text = take_string(out)
    document = json.loads(text) if text is not None else None
    if status != Status.OK:
        raise error(status, document)
    return document


def _on_progress(_user_data: Optional[int], event: bytes) -> int:
    call = current()
    try:
        progress = call.progress
        if progress is None:
            return 0
        parsed = json.loads(event)
        return 0 if call.ask(lambda: progress(parsed))[0] else 1
    except BaseException as failure:
        call.fail(failure)
        return 1


# All calls share it; the current call of the thread receives the event.
_ON_PROGRESS = PROGRESS_FN(_on_progress)
_NO_PROGRESS = PROGRESS_FN()


_providers: "Kept[TokenProvider]" = Kept()


def _on_token(number: Optional[int], scope: bytes, sink: Optional[int]) -> int:
    call = current()
    try:
        provider = _providers[number]
        succeeded, answer = call.ask_for_token(lambda: provider(scope.decode("utf-8")))
        if not succeeded:
            return 1
        # Here and not in the thread of the provider: the sink is valid only until this function returns.
        token, seconds = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, 0)
        valid = milliseconds("the token's validity", seconds) // 1000
        status = library().mde_token_set(sink, encode("the token", token), valid)
        if status != Status.OK:
            raise error_with_message(
                Status(status),
                "the token provider's token is empty, longer than 32 KiB, or has blanks, line breaks or other "
                "characters that are not visible ASCII",
            )
        return 0
    except BaseException as failure:
        call.fail(failure)
        return 1


# All clients share it; the number names the provider.
_ON_TOKEN = TOKEN_FN(_on_token)


_signers: "Kept[Signer]" = Kept()


# In the place of a signature: the signer gave up when its time was over.
_GAVE_UP = object()


def _on_sign(number: Optional[int], algorithm: bytes, data: int, size: int, sink: Optional[int]) -> int:
    call = current()
    try:
        signer = _signers[number]
        left = library().mde_signature_time_left_ms(sink) / 1000
        until = time.monotonic() + left
        request = SigningRequest(
            algorithm.decode("ascii"), ctypes.string_at(data, size), left if left < 2**53 else None
        )

        def sign() -> object:
            try:
                return signer(request)
            except Exception:
                if time.monotonic() < until:
                    raise
                # The call ends with its own error, or goes on with a token that is still valid.
                return _GAVE_UP

        succeeded, answer = call.ask_for_token(sign)
        if not succeeded or answer is _GAVE_UP:
            return 1
        # Here, as for a token.
        if not isinstance(answer, (bytes, bytearray)):
            raise TypeError("the signature must be bytes, not %s" % type(answer).__name__)
        # The library reports what is wrong with it.
        return int(library().mde_signature_set(sink, bytes(answer), len(answer)))
    except BaseException as failure:
        call.fail(failure)
        return 1


_ON_SIGN = SIGN_FN(_on_sign)


def _give(kept: Kept[Any], callback: Any, options: int, set_native: Callable[..., int], native: Any) -> None:
    """Gives a callback to the library, which keeps it."""
    number = kept.keep(callback)
    status = set_native(options, native, number, kept.free)
    if status != Status.OK:
        kept.forget(number)
        raise error(status)


def _option(name: str, value: Option) -> Tuple[str, str]:
    """Converts an option to the library's name and text."""
    if name in DURATIONS:
        if isinstance(value, (int, float, timedelta)):
            return name + "_ms", str(milliseconds(name, value))
        raise TypeError("%s must be a number of seconds or a timedelta" % name)
    if isinstance(value, timedelta):
        return name, str(milliseconds(name, value))
    if isinstance(value, bool):
        return name, "yes" if value else "no"
    if isinstance(value, (int, float)):
        return name, str(value)
    return name, as_text(name, value)


class Client(Forkable):
    """One identity against one service. Many threads may use it at once.

    Options have the names of docs/options.md: ``Client(tenant_id=…, client_id=…, client_secret=…)``. Those that end
    in ``_ms`` may be set in seconds or as a timedelta, without the suffix:
    ``Client(…, wait_timeout=timedelta(hours=2))``. A mapping of options may come first. Close the client, or use it in a ``with`` statement.

    All calls block. ``timeout`` (seconds or a timedelta), ``cancel`` and Ctrl-C end a call early. A failure raises an
    MdeError. Results are the documents of docs/json.md. An exception from a signal handler or callback also ends the
    call. Its attribute ``mde_outcomes`` then has the documents of the calls that it ended.
    """

    def __init__(
        self,
        options: Optional[Mapping[str, Option]] = None,
        *,
        token_provider: Optional[TokenProvider] = None,
        signer: Optional[Signer] = None,
        **settings: Option,
    ) -> None:
        self._start()
        if options is not None and not isinstance(options, collections.abc.Mapping):
            raise TypeError("options must be a mapping, not %s" % type(options).__name__)
        both = dict(options or {})
        both.update(settings)
        for name in DURATIONS:
            if name in both and name + "_ms" in both:
                raise TypeError("%s is given twice: also as %s_ms" % (name, name))

        def fill(native: int) -> None:
            for name, value in both.items():
                name, text = _option(name, value)
                out = ctypes.c_void_p()
                encoded = encode("the name of an option", name), encode(name, text)
                finish(library().mde_options_set(native, *encoded, ctypes.byref(out)), out)

        self._make(fill, token_provider, signer)

    @classmethod
    def from_json(
        cls, text: str, *, token_provider: Optional[TokenProvider] = None, signer: Optional[Signer] = None
    ) -> "Client":
        """Makes a client from options in JSON, for example from a configuration file: ``{"tenant_id": "…", …}``."""
        made = cls.__new__(cls)
        made._start()
        encoded = encode("text", text)

        def fill(native: int) -> None:
            out = ctypes.c_void_p()
            finish(library().mde_options_set_json(native, encoded, ctypes.byref(out)), out)

        made._make(fill, token_provider, signer)
        return made

    def _start(self) -> None:
        self._pointer: Optional[int] = None
        self._users = 0
        self._closing = False
        # A signal handler may close the client while its own thread holds the lock.
        self._changed = threading.Condition(threading.RLock())
        super().__init__()

    def _make(
        self, fill: Callable[[int], None], provider: Optional[TokenProvider], signer: Optional[Signer]
    ) -> None:
        callbacks = [("token_provider", "a function that takes a scope and returns a token", provider),
                     ("signer", "a function that takes a SigningRequest and returns bytes", signer)]
        for name, accepted, callback in callbacks:
            if callback is not None and not callable(callback):
                raise TypeError("%s must be %s, or None, not %s" % (name, accepted, type(callback).__name__))
        options = library().mde_options_new()
        try:
            fill(options)
            if provider is not None:
                _give(_providers, provider, options, library().mde_options_set_token_provider, _ON_TOKEN)
            if signer is not None:
                _give(_signers, signer, options, library().mde_options_set_signer, _ON_SIGN)
            client, out = ctypes.c_void_p(), ctypes.c_void_p()
            finish(library().mde_client_new(options, ctypes.byref(client), ctypes.byref(out)), out)
            self._pointer = client.value
        finally:
            library().mde_options_free(options)

    # close() frees the native client. If calls are running, the last of them frees it.

    def close(self) -> None:
        """Ends running calls with ClosedError, waits for them, and frees the client. A second call does nothing.

        A callback or log handler of such a call would wait for itself, so it gets a RuntimeError.
        """
        if waits_for(self) and not handling():
            raise RuntimeError("a callback cannot close the client of its own call; let it raise instead")
        with self._changed:
            pointer = self._pointer
            if pointer is None:
                return
            if self._users > 0 and handling():
                # The call that logs would wait for itself, or for a call that waits for the handler's lock.
                raise RuntimeError("a log handler cannot close a client that has calls running; let another thread do it")
            self._closing = True
            self._users += 1
        try:
            if self._users > 1:
                # This does not wait. The wait below does, and a signal can end it.
                library().mde_client_shutdown(pointer, 0)
        finally:
            self._leave()
        with self._changed:
            while self._pointer is not None:
                self._changed.wait(1)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closing

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client cannot be copied or pickled; make one in each process")

    def __del__(self) -> None:
        # A running call would hold a reference, so there is none.
        if getattr(self, "_pointer", None) is not None and not self._closing:
            warnings.warn("unclosed %r" % self, ResourceWarning, source=self)
            pointer, self._pointer = self._pointer, None
            library().mde_client_free(pointer)

    def __repr__(self) -> str:
        return "<mde.Client at %#x%s>" % (id(self), ", closed" if self._closing else "")

    def _after_fork(self) -> None:
        # The threads that were in a call belong to the parent process.
        self._changed = threading.Condition(threading.RLock())
        self._users = 0

    def _enter(self) -> int:
        with self._changed:
            if self._pointer is None or self._closing:
                raise error_with_message(Status.CLOSED, "the client is closed; make a new one")
            self._users += 1
            return self._pointer

    def _leave(self) -> None:
        pointer = None
        with self._changed:
            self._users = max(0, self._users - 1)
            if self._closing and self._users == 0:
                pointer, self._pointer = self._pointer, None
                self._changed.notify_all()
        if pointer is not None:
            library().mde_client_free(pointer)

    def _perform(
        self,
        function: str,
        arguments: List[Any],
        timeout: Optional[Seconds],
        cancel: Optional[Cancel],
        progress: Optional[Progress] = None,
        call: Optional[Call[Any]] = None,
    ) -> Any:
        check_not_for_token(self)
        native = getattr(library(), function)

        def perform(stop: Optional[int]) -> Any:
            client = self._enter()
            try:
                out = ctypes.c_void_p()
                return finish(native(client, *arguments, stop, ctypes.byref(out)), out)
            finally:
                self._leave()

        return (call or Call[Any](self, progress)).stoppable(perform, cancel, timeout)

    # The operations, in the order of a package's life. mde.h has the details, permission and quota of each.

    def fetch_package(
        self,
        machine_id: str,
        comment: str,
        path: Path,
        *,
        progress: Optional[Progress] = None,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> documents.Fetched:
        """Collects a package, waits for it, downloads and checks it. After an interruption the same call resumes."""
        arguments = [encode("machine_id", machine_id), encode("comment", comment), encode_path("path", path)]
        arguments += progress_arguments(progress)
        fetched: documents.Fetched = self._perform("mde_fetch_package", arguments, timeout, cancel, progress)
        return fetched

    def fetch_packages(
        self,
        devices: Optional[Devices],
        comment: str,
        folder: Path,
        *,
        progress: Optional[Progress] = None,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> documents.FetchedPackages:
        """Fetches the packages of many devices into a folder, at the speed of the quota.

        The folder holds the job: after an interruption the same call resumes, and asks no device twice. ``devices`` may
        then be None. If some devices have no package, it raises an IncompleteError, whose ``packages`` has all of them.
        """
        encoded = devices_json(devices), encode("comment", comment), encode_path("folder", folder)
        arguments = [*encoded, *progress_arguments(progress)]
        fetched: documents.FetchedPackages = self._perform("mde_fetch_packages", arguments, timeout, cancel, progress)
        return fetched

    def iter_packages(
        self,
        devices: Optional[Devices],
        comment: str,
        folder: Path,
        *,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> Generator[documents.DevicePackage, None, None]:
        """The same as an iterator, which has each device of the job once, as soon as its outcome is known.

        The call begins with the first device, in a thread of its own. ``close()`` ends it, and so does the end of the
        iterator's life. A device without a package is no error here. An error that ends the call is raised.
        """
        encoded = devices_json(devices), encode("comment", comment), encode_path("folder", folder)
        arguments = [*encoded, _ON_PROGRESS, None]

        def perform(call: Call[Any]) -> Any:
            return self._perform("mde_fetch_packages", arguments, timeout, cancel, call=call)

        return as_they_end(self, perform)

    def find_machines(
        self, query: str, *, timeout: Optional[Seconds] = None, cancel: Optional[Cancel] = None
    ) -> documents.Found:
        """Finds devices by id, Entra device id, DNS name or IP address, or by a selection.

        A selection is, for example, ``tag:DMZ and not os:Linux``.
        """
        found: documents.Found = self._perform(
            "mde_find_machines", [encode("query", query)], timeout, cancel
        )
        return found

    def collect_package(
        self,
        machine_id: str,
        comment: str,
        *,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> documents.Collected:
        """Requests a package, and returns as soon as the service has accepted the request."""
        arguments = [encode("machine_id", machine_id), encode("comment", comment)]
        collected: documents.Collected = self._perform("mde_collect_package", arguments, timeout, cancel)
        return collected

    def wait_action(
        self,
        action_id: str,
        *,
        progress: Optional[Progress] = None,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> documents.ActionDocument:
        """Waits until a machine action has ended. Raises an ActionEndedError if it did not succeed."""
        arguments = [encode("action_id", action_id)] + progress_arguments(progress)
        ended: documents.ActionDocument = self._perform("mde_wait_action", arguments, timeout, cancel, progress)
        return ended

    def get_action(
        self, action_id: str, *, timeout: Optional[Seconds] = None, cancel: Optional[Cancel] = None
    ) -> documents.ActionDocument:
        """Reads one machine action."""
        seen: documents.ActionDocument = self._perform(
            "mde_get_action", [encode("action_id", action_id)], timeout, cancel
        )
        return seen

    def list_actions(
        self,
        odata_filter: str = "",
        *,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> documents.Listed:
        """Lists machine actions, newest first."""
        listed: documents.Listed = self._perform(
            "mde_list_actions", [encode("odata_filter", odata_filter)], timeout, cancel
        )
        return listed

    def cancel_action(
        self,
        action_id: str,
        comment: str,
        *,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> documents.Ended:
        """Cancels a machine action, and waits until it has ended."""
        arguments = [encode("action_id", action_id), encode("comment", comment)]
        ended: documents.Ended = self._perform("mde_cancel_action", arguments, timeout, cancel)
        return ended

    def download_package(
        self,
        action_id: str,
        path: Path,
        *,
        progress: Optional[Progress] = None,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancel] = None,
    ) -> documents.PackageDocument:
        """Downloads the package of a finished collection, and checks it before the file appears at `path`."""
        arguments = [encode("action_id", action_id), encode_path("path", path)] + progress_arguments(progress)
        downloaded: documents.PackageDocument = self._perform(
            "mde_download_package", arguments, timeout, cancel, progress
        )
        return downloaded

    def get_package_uri(
        self, action_id: str, *, timeout: Optional[Seconds] = None, cancel: Optional[Cancel] = None
    ) -> documents.PackageUri:
        """Gets the link to a package, which is valid for about a minute. The link is a secret."""
        link: documents.PackageUri = self._perform(
            "mde_get_package_uri", [encode("action_id", action_id)], timeout, cancel
        )
        return link

    def check_access(
        self, *, timeout: Optional[Seconds] = None, cancel: Optional[Cancel] = None
    ) -> documents.AccessDocument:
        """Checks whom the client signs in as, what that identity may do, and how the hosts are reached.

        It returns whatever it finds: ``["access"]["ok"]`` is False if a step has failed. It changes nothing.
        """
        checked: documents.AccessDocument = self._perform("mde_check_access", [], timeout, cancel)
        return checked

    def get_quota(self) -> documents.QuotaStatus:
        """Reports how much of each quota is used, and when the next call could be sent. Sends nothing."""

        def ask() -> Any:
            client = self._enter()
            try:
                out = ctypes.c_void_p()
                return finish(library().mde_get_quota(client, ctypes.byref(out)), out)
            finally:
                self._leave()

        status: documents.QuotaStatus = Call[Any](self).run(ask)
        return status


def progress_arguments(progress: Optional[Progress]) -> List[Any]:
    """The native callback and its user data."""
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function or None, not {type(progress).__name__}")
    return [_NO_PROGRESS if progress is None else _ON_PROGRESS, None]
