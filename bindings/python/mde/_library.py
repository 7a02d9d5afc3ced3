"""Finds and loads the native library, and declares its functions."""

import ctypes
import os
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int32, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, List, Optional, Tuple

from ._text import Path, encode

ABI_VERSION = 0
"""The ABI that this module is written for. It refuses a library with another."""

ENVIRONMENT = "MDE_LIBRARY"
"""The environment variable that names the library's file."""

if sys.platform == "win32":
    _NAMES = ["mde.dll"]
elif sys.platform == "darwin":
    _NAMES = ["libmde.dylib"]
else:
    _NAMES = ["libmde.so.0"]

LOG_FN = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
TOKEN_FN = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p)
SIGN_FN = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p, c_uint64, c_void_p)
PROGRESS_FN = CFUNCTYPE(c_int32, c_void_p, c_char_p)
FREE_FN = CFUNCTYPE(None, c_void_p)

_OUT = POINTER(c_void_p)
_TAIL = [c_void_p, _OUT]
_PROGRESS = [PROGRESS_FN, c_void_p]

# The result and the arguments of every exported function. `char **` is a pointer to a void pointer, since ctypes would
# turn a c_char_p into bytes and lose the address that has to be freed.
SIGNATURES: Dict[str, Tuple[Any, List[Any]]] = {
    "mde_version": (c_char_p, []),
    "mde_abi_version": (c_uint32, []),
    "mde_status_name": (c_char_p, [c_int32]),
    "mde_string_free": (None, [c_void_p]),
    "mde_json_get": (c_int32, [c_char_p, c_char_p, _OUT]),
    "mde_log_set": (c_int32, [LOG_FN, c_void_p, FREE_FN, c_int32]),
    "mde_token_set": (c_int32, [c_void_p, c_char_p, c_uint64]),
    "mde_signature_set": (c_int32, [c_void_p, c_char_p, c_uint64]),
    "mde_signature_time_left_ms": (c_uint64, [c_void_p]),
    "mde_options_new": (c_void_p, []),
    "mde_options_free": (None, [c_void_p]),
    "mde_options_set": (c_int32, [c_void_p, c_char_p, c_char_p, _OUT]),
    "mde_options_set_json": (c_int32, [c_void_p, c_char_p, _OUT]),
    "mde_options_set_token_provider": (c_int32, [c_void_p, TOKEN_FN, c_void_p, FREE_FN]),
    "mde_options_set_signer": (c_int32, [c_void_p, SIGN_FN, c_void_p, FREE_FN]),
    "mde_client_new": (c_int32, [c_void_p, _OUT, _OUT]),
    "mde_client_shutdown": (c_int32, [c_void_p, c_uint64]),
    "mde_client_free": (None, [c_void_p]),
    "mde_cancel_new": (c_void_p, [c_uint64]),
    "mde_cancel_trigger": (None, [c_void_p]),
    "mde_cancel_free": (None, [c_void_p]),
    "mde_collect_package": (c_int32, [c_void_p, c_char_p, c_char_p] + _TAIL),
    "mde_get_action": (c_int32, [c_void_p, c_char_p] + _TAIL),
    "mde_list_actions": (c_int32, [c_void_p, c_char_p] + _TAIL),
    "mde_get_quota": (c_int32, [c_void_p, _OUT]),
    "mde_check_access": (c_int32, [c_void_p] + _TAIL),
    "mde_wait_action": (c_int32, [c_void_p, c_char_p] + _PROGRESS + _TAIL),
    "mde_cancel_action": (c_int32, [c_void_p, c_char_p, c_char_p] + _TAIL),
    "mde_find_machines": (c_int32, [c_void_p, c_char_p] + _TAIL),
    "mde_get_package_uri": (c_int32, [c_void_p, c_char_p] + _TAIL),
    "mde_download_package": (c_int32, [c_void_p, c_char_p, c_char_p] + _PROGRESS + _TAIL),
    "mde_fetch_package": (c_int32, [c_void_p, c_char_p, c_char_p, c_char_p] + _PROGRESS + _TAIL),
    "mde_fetch_packages": (c_int32, [c_void_p, c_char_p, c_char_p, c_char_p] + _PROGRESS + _TAIL),
    "mde_read_packages": (c_int32, [c_char_p, _OUT]),
    "mde_inspect_package": (c_int32, [c_char_p] + _PROGRESS + _TAIL),
}


class LibraryNotFoundError(ImportError):
    """The native library is missing, or this module cannot use it."""


_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    # Another thread may hold it at a fork.
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))
_loaded: Optional[ctypes.CDLL] = None
_loaded_from = ""


def load(path: Optional[Path] = None) -> str:
    """Loads the native library, and returns where it was found.

    The first use of the module loads it as well. ``path`` names the file, or else the environment variable
    MDE_LIBRARY. Without both, the folder of this module is searched, then the system's loader. A loaded library stays:
    another path is then an error.
    """
    global _loaded, _loaded_from
    with _lock:
        if _loaded is None:
            _loaded, _loaded_from = _find(path)
        elif path is not None and os.fspath(path) != _loaded_from:
            raise RuntimeError("the library was loaded from %s already" % _loaded_from)
        return _loaded_from


def library() -> ctypes.CDLL:
    """The native library."""
    # It needs no lock, since it is set only once.
    loaded = _loaded
    if loaded is None:
        load()
        loaded = _loaded
        assert loaded is not None
    return loaded


def _find(path: Optional[Path]) -> Tuple[ctypes.CDLL, str]:
    named = os.fspath(path) if path is not None else os.environ.get(ENVIRONMENT)
    if named:
        encode("path" if path is not None else ENVIRONMENT, named)
        candidates = [named]
    else:
        here = os.path.dirname(os.path.abspath(__file__))
        beside = [os.path.join(here, name) for name in _NAMES]
        candidates = [file for file in beside if os.path.exists(file)] + _NAMES
    tried: List[str] = []
    for candidate in candidates:
        try:
            return _typed(ctypes.CDLL(candidate), candidate), candidate
        except OSError as error:
            tried.append("%s: %s" % (candidate, error))
    raise LibraryNotFoundError(
        "the native library of mde could not be loaded (%s); name its file with mde.load() or in %s"
        % ("; ".join(tried), ENVIRONMENT)
    )


def _typed(native: ctypes.CDLL, where: str) -> ctypes.CDLL:
    """Gives the functions their types, unless it is another library or another ABI."""
    try:
        native.mde_abi_version.restype = c_uint32
        native.mde_abi_version.argtypes = []
        abi = native.mde_abi_version()
        if abi != ABI_VERSION:
            raise LibraryNotFoundError(
                "%s has ABI version %d, and this module needs %d" % (where, abi, ABI_VERSION)
            )
        for name, (result, arguments) in SIGNATURES.items():
            function: Any = getattr(native, name)
            function.restype = result
            function.argtypes = arguments
    except AttributeError as error:
        raise LibraryNotFoundError("%s is no library that this module can use: %s" % (where, error)) from None
    return native


def take_string(pointer: ctypes.c_void_p) -> Optional[bytes]:
    """Copies a string of the library and frees the original."""
    if not pointer.value:
        return None
    try:
        return ctypes.string_at(pointer.value)
    finally:
        library().mde_string_free(pointer)
