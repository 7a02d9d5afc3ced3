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


class AtTheEnd(unittest.TestCase):
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
