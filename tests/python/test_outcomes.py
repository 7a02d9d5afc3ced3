"""Exceptions of signal handlers and callbacks, which carry the library's documents of the call."""

import dataclasses
import logging
import os
import signal
import sys
import threading
import time
import unittest
from typing import Any, Callable, List, Tuple
from unittest import mock

import mde
import mde._call

from support import MACHINES, NO_ACTION, OPTIONS, STALLED, Background, Case, requests


def outcomes(failure: Any) -> Tuple[Any, ...]:
    """As the guide reads them."""
    found: Tuple[Any, ...] = getattr(failure, "mde_outcomes", ())
    return found


class AtTheLine(logging.Handler):
    """Does something when the library logs a line, in the thread in which it logs."""

    def __init__(self, part: str, function: Callable[[], object]) -> None:
        super().__init__()
        self.part = part
        self.function = function

    def handle(self, record: logging.LogRecord) -> Any:
        if self.part in record.getMessage():
            self.function()

    def __enter__(self) -> "AtTheLine":
        logger = logging.getLogger("test.mde.outcomes")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        logger.handlers = [self]
        mde.log_to(logger)
        return self

    def __exit__(self, *_: object) -> None:
        mde.log_to(None)


class Signals(Case):
    """Of the main thread, as in a program."""

    def interrupted(self) -> BaseException:
        before = len(requests(STALLED))

        def send() -> None:
            self.until_stalled(before)
            os.kill(os.getpid(), signal.SIGINT)

        sender = Background(send)
        with self.assertRaises(KeyboardInterrupt) as caught:
            self.stalled()
        self.assertIsNone(sender.end().error)
        return caught.exception

    def test_a_failure(self) -> None:
        (outcome,) = outcomes(self.interrupted())
        self.assertEqual((outcome["error"]["name"], outcome["error"]["outcome"]), ("cancelled", "unknown"))

    def test_a_failure_inside_an_except_block(self) -> None:
        try:
            raise LookupError("another trouble")
        except LookupError:
            interrupt = self.interrupted()
        self.assertIsInstance(interrupt.__context__, LookupError)
        (outcome,) = outcomes(interrupt)
        self.assertEqual((outcome["error"]["name"], outcome["error"]["outcome"]), ("cancelled", "unknown"))

    def test_a_success_that_is_there_when_the_signal_comes(self) -> None:
        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            # The main thread hears of it before the call returns.
            time.sleep(0.1)

        for machine in MACHINES[:2]:
            with AtTheLine("collect_package took", interrupt):
                with self.assertRaises(KeyboardInterrupt) as caught:
                    self.client.collect_package(machine, "why")
            (outcome,) = outcomes(caught.exception)
            self.assertEqual(outcome["action"]["machineId"], machine)
            self.client.wait_action(outcome["action"]["id"])

    def test_ctrl_c_again_while_the_first_is_seen_to(self) -> None:
        """However impatient somebody is, the outcome is there, and the call has ended."""
        interrupts: List[BaseException] = []
        inside = True

        def handler(_number: int, _frame: Any) -> None:
            if inside:
                raise KeyboardInterrupt

        old = signal.signal(signal.SIGINT, handler)
        try:
            for _ in range(20):
                before = len(requests(STALLED))

                def send() -> None:
                    self.until_stalled(before)
                    while inside:
                        os.kill(os.getpid(), signal.SIGINT)

                sender = Background(send)
                try:
                    self.stalled()
                except KeyboardInterrupt as interrupt:
                    inside = False
                    interrupts.append(interrupt)
                    self.assertEqual(self.client._users, 0)
                sender.end()
                inside = True
        finally:
            signal.signal(signal.SIGINT, old)
        self.assertEqual([outcomes(one)[0]["error"]["name"] for one in interrupts], ["cancelled"] * 20)

    def test_a_signal_before_it_has_begun(self) -> None:
        """Then it does not begin."""
        before = len(requests(MACHINES[0]))
        with mock.patch.object(threading, "Thread", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt) as caught:
                self.client.collect_package(MACHINES[0], "why")
        self.assertEqual(outcomes(caught.exception), ())
        self.assertEqual(len(requests(MACHINES[0])), before)

    def test_a_signal_that_does_not_interrupt_the_wait(self) -> None:
        """Another thread takes it, as one that comes just before the wait also leaves the wait alone."""
        before = len(requests(STALLED))

        def send() -> None:
            self.until_stalled(before)
            os.kill(os.getpid(), signal.SIGINT)

        sender = Background(send)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            with self.assertRaises(KeyboardInterrupt) as caught:
                self.stalled()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        sender.end()
        (outcome,) = outcomes(caught.exception)
        self.assertEqual(outcome["error"]["name"], "cancelled")

    def test_what_nothing_stops_has_no_outcome_yet(self) -> None:
        started = threading.Event()
        heard = threading.Event()

        def slow() -> Any:
            started.set()
            heard.wait(30)
            return {}

        def send() -> None:
            started.wait(10)
            os.kill(os.getpid(), signal.SIGINT)

        sender = Background(send)
        with self.assertRaises(KeyboardInterrupt) as caught:
            mde._call.Call[Any]().run(slow)
        heard.set()
        sender.end()
        self.assertEqual(outcomes(caught.exception), ())


class Callbacks(Case):
    def in_both(self, call: Callable[[], Any], kind: Any) -> List[BaseException]:
        """What the call raises in the main thread, and in another one."""
        with self.assertRaises(kind) as caught:
            call()
        self.until_nothing_runs()
        other = Background(call).end().error
        self.assertIsInstance(other, kind)
        return [caught.exception, other]

    def test_a_failure(self) -> None:
        def bad(_event: Any) -> None:
            raise LookupError("in the callback")

        def call() -> None:
            try:
                raise ValueError("another trouble")
            except ValueError:
                self.client.fetch_package(MACHINES[0], "why", self.file(), progress=bad)

        for failure in self.in_both(call, LookupError):
            (outcome,) = outcomes(failure)
            self.assertEqual(outcome["error"]["name"], "cancelled")
            self.assertTrue(outcome["error"]["action_id"])

    def test_an_exception_that_cannot_be_changed(self) -> None:
        @dataclasses.dataclass(frozen=True)
        class Over(Exception):
            why: str

        def bad(_event: Any) -> None:
            raise Over("enough")

        call = lambda: self.client.fetch_package(MACHINES[0], "why", self.file(), progress=bad)
        for failure in self.in_both(call, Over):
            self.assertEqual(outcomes(failure)[0]["error"]["name"], "cancelled")

    def test_the_same_exception_again_has_the_last_outcome(self) -> None:
        once = LookupError("always the same")

        def bad(event: Any) -> None:
            raise once

        for machine in MACHINES[:2]:
            with self.assertRaises(LookupError):
                self.client.fetch_package(machine, "why", self.file(machine), progress=bad)
            (outcome,) = outcomes(once)
            seen = self.client.get_action(outcome["error"]["action_id"])["action"]
            self.assertEqual(seen["machineId"], machine)

    def test_a_call_inside_a_callback_has_its_own(self) -> None:
        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

        def look(event: Any) -> None:
            with AtTheLine("list_actions took", interrupt):
                self.client.list_actions()

        with self.assertRaises(KeyboardInterrupt) as caught:
            self.client.fetch_package(MACHINES[0], "why", self.file(), progress=look)
        inner, outer = outcomes(caught.exception)
        self.assertTrue(inner["actions"])
        self.assertEqual(outer["error"]["name"], "cancelled")

    def test_a_failed_call_that_a_callback_lets_through(self) -> None:
        """Its own document, and that of the call around it."""

        def look(_event: Any) -> None:
            self.client.get_action(NO_ACTION)

        with self.assertRaises(mde.NotFoundError) as caught:
            self.client.fetch_package(MACHINES[0], "why", self.file(), progress=look)
        self.assertEqual(caught.exception.document["error"]["name"], "not_found")
        (outcome,) = outcomes(caught.exception)
        self.assertEqual(outcome["error"]["name"], "cancelled")


class LogHandlers(Case):
    """They run in the thread of the call, wherever that is, and the call waits for them."""

    def refused(self, what: Callable[[], object], call: Callable[[], Any]) -> List[str]:
        """What a handler was told, in the main thread and in another one."""
        said: List[str] = []

        def attempt() -> None:
            try:
                what()
            except RuntimeError as error:
                said.append(str(error))

        def late(_number: int, _frame: Any) -> None:
            sys.stderr.write("%s: the call hangs\n" % self.id())
            sys.stderr.flush()
            # Whoever waits for ever cannot be told.
            os._exit(99)

        old = signal.signal(signal.SIGALRM, late)
        signal.alarm(20)
        try:
            with AtTheLine("find_machines took", attempt):
                self.assertIsNone(Background(call).end().error)
                call()
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
        return said

    def test_closing_the_client_that_logs(self) -> None:
        said = self.refused(self.client.close, lambda: self.client.find_machines(MACHINES[0]))
        self.assertEqual(said, ["a log handler cannot close a client that has calls running; let another thread do it"] * 2)
        self.assertFalse(self.client.closed)

    def test_closing_one_that_nobody_uses(self) -> None:
        others = [mde.Client(OPTIONS), mde.Client(OPTIONS)]
        closed = iter(others)
        self.assertEqual(self.refused(lambda: next(closed).close(), lambda: self.client.find_machines(MACHINES[0])), [])
        self.assertTrue(all(other.closed for other in others))

    def test_changing_where_the_log_goes(self) -> None:
        said = self.refused(lambda: mde.log_to(None), lambda: self.client.find_machines(MACHINES[0]))
        self.assertEqual(len(said), 2)
        self.assertIn("a log handler cannot change where the log goes", said[0])


if __name__ == "__main__":
    unittest.main()
