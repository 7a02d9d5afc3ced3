"""Forked children, and the end of the interpreter."""

import multiprocessing
import os
import subprocess
import sys
import unittest
from typing import Any, List

import mde
import mde._library

from support import MACHINES, NO_ACTION, OPTIONS, STALLED, Background, Case, requests


def in_the_child(client: Any, cancel: Any, answers: Any) -> None:
    try:
        client.get_action(NO_ACTION, cancel=cancel)
    except mde.ForkedError as error:
        answers.put(("forked", error.message))
    cancel.trigger()
    with mde.Client(OPTIONS) as own:
        answers.put(("own", own.find_machines(MACHINES[0])["machines"][0]["id"]))
    client.close()
    answers.put(("closed", client.closed))


class Forks(Case):
    def test_multiprocessing(self) -> None:
        context = multiprocessing.get_context("fork")
        before = len(requests(STALLED))
        cancel = mde.Cancel()
        busy = [Background(lambda: self.stalled(cancel=cancel)) for _ in range(4)]
        self.until_stalled(before, 4)
        answers = context.Queue()
        child = context.Process(target=in_the_child, args=(self.client, cancel, answers))
        child.start()
        self.assertEqual([answers.get(timeout=30)[0] for _ in range(3)], ["forked", "own", "closed"])
        child.join(30)
        self.assertEqual(child.exitcode, 0)
        # What the child did is not done to the parent's calls.
        self.assertTrue(all(call.thread.is_alive() for call in busy))
        cancel.trigger()
        self.assertEqual({type(call.end().error) for call in busy}, {mde.CancelledError})
        with self.assertRaises(mde.NotFoundError):
            self.client.get_action(NO_ACTION)

    def test_in_a_callback(self) -> None:
        parent = os.getpid()
        children: List[int] = []

        def fork(_event: Any) -> None:
            if not children:
                children.append(os.fork())

        try:
            self.client.fetch_package(MACHINES[0], "why", self.file(), progress=fork)
        except mde.ForkedError:
            os._exit(0 if os.getpid() != parent else 1)
        except BaseException:
            if os.getpid() != parent:
                os._exit(2)
            raise
        if os.getpid() != parent:
            os._exit(3)
        self.assertEqual(os.waitpid(children[0], 0)[1], 0)

    def test_a_callback_that_raises_in_the_child(self) -> None:
        """The cancel handle is that of the parent's call, which the child must not touch (docs/threading.md)."""
        parent = os.getpid()
        children: List[int] = []
        touched: List[Any] = []
        library: Any = mde._library.library()
        trigger = library.mde_cancel_trigger

        def fork(_event: Any) -> None:
            if not children:
                children.append(os.fork())
                if os.getpid() != parent:
                    library.mde_cancel_trigger = touched.append
                    raise LookupError("in the child")

        try:
            self.client.fetch_package(MACHINES[0], "why", self.file(), progress=fork)
        except LookupError as error:
            if os.getpid() != parent:
                forked = isinstance(error.__context__, mde.ForkedError)
                os._exit(0 if forked and not touched else 1)
            raise
        finally:
            if os.getpid() != parent:
                os._exit(2)
        self.assertIs(library.mde_cancel_trigger, trigger)
        self.assertEqual(os.waitpid(children[0], 0)[1], 0)


BEGINNING = """
import atexit, ctypes, logging, sys, threading, time
sys.path.insert(0, %r)
import mde, support

client = mde.Client(support.OPTIONS)

class Handler(logging.Handler):
    def emit(self, record):
        pass

def log(handler=Handler):
    logger = logging.getLogger("mde.test")
    logger.propagate = False
    logger.addHandler(handler())
    logger.setLevel(logging.DEBUG)
    mde.log_to(logger)

def daemons(work, count=6):
    for _ in range(count):
        threading.Thread(target=work, daemon=True).start()

def for_ever(work):
    def run():
        while True:
            try:
                work()
            except mde.MdeError:
                pass
    return run

inside = threading.Event()
""" % os.path.dirname(os.path.abspath(__file__))

# Each ends while daemon threads are in the midst of something.
ENDINGS = {
    "calls that wait, and a log": """
log()
before = len(support.requests(support.STALLED))
daemons(lambda: client.collect_package(support.STALLED, "why"))
support.eventually(lambda: len(support.requests(support.STALLED)) >= before + 6)
""",
    "one call after the other, and a log": """
log()
daemons(for_ever(lambda: client.find_machines(support.MACHINES[0])))
time.sleep(0.2)
""",
    "one call after the other on clients of their own": """
log()
def one():
    with mde.Client(support.OPTIONS) as own:
        own.find_machines(support.MACHINES[0])
daemons(for_ever(one))
time.sleep(0.2)
""",
    "progress callbacks": """
action = client.collect_package(support.MACHINES[0], "why")["action"]["id"]
def progress(event):
    inside.set()
    time.sleep(0.001)
daemons(for_ever(lambda: client.wait_action(action, progress=progress)))
inside.wait(20)
""",
    "a token provider": """
def provide(scope):
    inside.set()
    time.sleep(0.01)
    raise RuntimeError("no token")
own = support.with_token(provide)
def ask():
    try:
        own.find_machines(support.MACHINES[0])
    except RuntimeError:
        pass
daemons(for_ever(ask))
inside.wait(20)
""",
    "callbacks that do not return": """
import mde._ending
mde._ending.LONGEST_S = 0.3
class Stuck(logging.Handler):
    def handle(self, record):
        # Without the handler's lock, so that all threads are in here.
        inside.set()
        while True:
            time.sleep(0.001)
log(Stuck)
daemons(lambda: client.find_machines(support.MACHINES[0]))
inside.wait(20)
""",
    "callbacks of a program that uses ctypes alone": """
from mde._library import FREE_FN, LOG_FN, library
def line(data, level, message):
    inside.set()
    time.sleep(0.001)
callback = LOG_FN(line)
library().mde_log_set(callback, None, FREE_FN(), 4)
atexit._clear()
daemons(for_ever(lambda: client.find_machines(support.MACHINES[0])))
inside.wait(20)
time.sleep(0.05)
""",
}


def ends(program: str) -> Any:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", BEGINNING + program], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)


class AtTheEnd(unittest.TestCase):
    def test_daemon_threads_in_calls_and_callbacks(self) -> None:
        for name, program in ENDINGS.items():
            for attempt in range(8):
                with self.subTest(name, attempt=attempt):
                    ran = ends(program)
                    self.assertEqual((ran.returncode, ran.stderr), (0, b""))

    def test_calls_that_run_end_and_no_later_one_begins(self) -> None:
        ran = ends("""
def report():
    ended.wait(10)
    print(*sorted(said))
atexit.unregister(mde._ending.end_all)
atexit.register(report)
atexit.register(mde._ending.end_all, mde._log.silence, mde._log.is_silent)
said, ended = [], threading.Event()
def call():
    try:
        client.collect_package(support.STALLED, "why")
    except SystemExit as over:
        said.append("ended " + over.mde_outcomes[0]["error"]["name"])
    try:
        client.find_machines(support.MACHINES[0])
    except SystemExit as over:
        said.append("refused " + str("interpreter is ending" in str(over)))
        ended.set()
before = len(support.requests(support.STALLED))
daemons(call, 1)
support.eventually(lambda: len(support.requests(support.STALLED)) > before)
""")
        self.assertEqual((ran.returncode, ran.stdout), (0, b"ended cancelled refused True\n"), ran.stderr.decode())

    def test_the_interpreter_ends_while_a_thread_is_inside(self) -> None:
        program = (
            "import threading, time, sys; sys.path.insert(0, %r); import mde, support\n"
            "client = mde.Client(support.OPTIONS)\n"
            "before = len(support.requests(support.STALLED))\n"
            "call = threading.Thread(target=client.collect_package, args=(support.STALLED, 'why'), daemon=True)\n"
            "call.start(); support.eventually(lambda: len(support.requests(support.STALLED)) > before)\n"
            "import atexit; atexit.register(lambda: print(client.find_machines(support.MACHINES[0])['more']))\n"
        ) % os.path.dirname(os.path.abspath(__file__))
        ran = subprocess.run([sys.executable, "-W", "ignore", "-c", program], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=60)
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, b"False\n", b""))


if __name__ == "__main__":
    unittest.main()
