"""Code that the tests of the Python package share. The Rust side has started the simulator."""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
from typing import Any, Callable, Dict, List

import mde

URL = os.environ["MDE_TEST_URL"]
MACHINES = os.environ["MDE_TEST_MACHINES"].split()
STALLED = os.environ["MDE_TEST_STALLED_MACHINE"]
CHECKOUT = os.environ["MDE_TEST_CHECKOUT"]
NO_ACTION = "00000000-0000-4000-8000-000000000000"

OPTIONS: Dict[str, Any] = {
    "api_url": URL,
    "login_url": URL,
    "tenant_id": os.environ["MDE_TEST_TENANT"],
    "client_id": os.environ["MDE_TEST_CLIENT"],
    "client_secret": os.environ["MDE_TEST_SECRET"],
    "poll_interval_ms": 100,
    # The simulator does not count: a third link would wait for a minute.
    "quota_limits": "collect=100000/60;read=100000/60;list=100000/60;cancel=100000/60;link=100000/60;machines=100000/60",
}


def control(path: str, what: Any = None) -> Any:
    """Talks to the simulator."""
    body = None if what is None else json.dumps(what).encode()
    request = urllib.request.Request(URL + "/_control/" + path, data=body)
    with urllib.request.urlopen(request, timeout=30) as reply:
        text = reply.read()
    return json.loads(text) if text else None


def requests(part: str) -> List[Any]:
    return [one for one in control("requests") if part in one["path"]]


def eventually(what: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen within %d s" % seconds)


def with_token(provider: Any) -> "mde.Client":
    """A client that signs in with a callback."""
    own = {name: value for name, value in OPTIONS.items() if name not in ("client_secret", "login_url")}
    return mde.Client(own, token_provider=provider)


class Background:
    """A function in a thread of its own, and what became of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: Any = None
        self.function = function
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error

    def end(self) -> "Background":
        self.thread.join(30)
        assert not self.thread.is_alive(), "it still runs"
        return self


class Case(unittest.TestCase):
    """A test with a client, and a folder of its own. What ctypes or Python could only print fails it."""

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.unraisable: List[Any] = []
        hook = sys.unraisablehook
        sys.unraisablehook = self.unraisable.append
        self.addCleanup(setattr, sys, "unraisablehook", hook)
        self.client = mde.Client(OPTIONS)
        self.addCleanup(self.client.close)
        self.until_nothing_runs()

    def tearDown(self) -> None:
        self.assertEqual([str(one.exc_value) for one in self.unraisable], [])

    def file(self, name: str = "case 4711.zip") -> str:
        return os.path.join(self.folder, name)

    def stalled(self, client: Any = None, **how: Any) -> Any:
        """A call that the service never answers."""
        return (client or self.client).collect_package(STALLED, "why", **how)

    def until_nothing_runs(self) -> None:
        """Waits for the collections of earlier calls: one that ends between a refusal and the list is a failure."""

        def over() -> bool:
            states = [action["status"] for action in self.client.list_actions()["actions"]]
            return not {"Pending", "InProgress"}.intersection(states)

        eventually(over)

    def until_stalled(self, before: int, more: int = 1) -> None:
        """Waits until such calls have arrived."""
        eventually(lambda: len(requests(STALLED)) >= before + more)
