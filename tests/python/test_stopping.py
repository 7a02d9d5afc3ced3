"""Calls that end early: by Cancel, time, exceptions in callbacks, signals, closing."""

import gc
import os
import signal
import threading
import time
import unittest
import warnings
from typing import Any, List

import mde

from support import MACHINES, NO_ACTION, OPTIONS, STALLED, Background, Case, control, eventually, requests, with_token


class Cancelling(Case):
    def test_from_another_thread(self) -> None:
        before = len(requests(STALLED))
        with mde.Cancel() as cancel:
            call = Background(lambda: self.stalled(cancel=cancel))
            self.until_stalled(before)
            self.assertFalse(cancel.triggered)
            since = time.monotonic()
            cancel.trigger()
            call.end()
            self.assertLess(time.monotonic() - since, 1)
            self.assertIsInstance(call.error, mde.CancelledError)
            self.assertEqual(call.error.outcome, "unknown")
            self.assertTrue(cancel.triggered)
            with self.assertRaises(mde.CancelledError):
                self.client.get_action(NO_ACTION, cancel=cancel)

    def test_the_main_thread(self) -> None:
        before = len(requests(STALLED))
        cancel = mde.Cancel()

        def stop() -> None:
            self.until_stalled(before)
            cancel.trigger()

        helper = Background(stop)
        with self.assertRaises(mde.CancelledError):
            self.stalled(cancel=cancel)
        helper.end()

    def test_many_calls_with_one(self) -> None:
        before = len(requests(STALLED))
        cancel = mde.Cancel()
        calls = [Background(lambda: self.stalled(cancel=cancel)) for _ in range(8)]
        self.until_stalled(before, 8)
        cancel.trigger()
        self.assertEqual({type(call.end().error) for call in calls}, {mde.CancelledError})
        self.assertEqual(cancel._stops, set())

    def test_time(self) -> None:
        since = time.monotonic()
        with self.assertRaises(mde.DeadlineError):
            self.stalled(timeout=0.2)
        with self.assertRaises(mde.DeadlineError):
            self.stalled(cancel=mde.Cancel(0.2))
        with self.assertRaises(mde.DeadlineError):
            self.stalled(cancel=mde.Cancel(60), timeout=0.2)
        with self.assertRaises(mde.DeadlineError):
            self.stalled(cancel=mde.Cancel(0.2), timeout=60)
        took = time.monotonic() - since
        self.assertTrue(0.75 <= took < 3, took)
        over = mde.Cancel(0.001)
        time.sleep(0.01)
        with self.assertRaises(mde.DeadlineError):
            self.client.get_action(NO_ACTION, cancel=over)

    def test_a_closed_one(self) -> None:
        cancel = mde.Cancel()
        cancel.close()
        with self.assertRaisesRegex(ValueError, "cancel was closed"):
            self.client.get_action(NO_ACTION, cancel=cancel)


class Callbacks(Case):
    def test_an_exception_in_progress(self) -> None:
        def bad(event: Any) -> None:
            raise LookupError("at " + event["stage"])

        for where in (self.in_main, self.in_thread):
            with self.assertRaisesRegex(LookupError, "at collect") as caught:
                where(lambda: self.client.fetch_package(MACHINES[0], "why", self.file(), progress=bad))
            self.assertIsInstance(caught.exception.__context__, mde.CancelledError)
            # And the client serves on.
            self.client.get_action(self.client.list_actions()["actions"][0]["id"])

    def in_main(self, function: Any) -> Any:
        return function()

    def in_thread(self, function: Any) -> Any:
        call = Background(function).end()
        if call.error is not None:
            raise call.error
        return call.result

    def test_an_exception_in_the_token_provider(self) -> None:
        def bad(scope: str) -> str:
            raise LookupError("no token")

        def typed(scope: str) -> Any:
            return 3

        for where in (self.in_main, self.in_thread):
            with with_token(bad) as client:
                with self.assertRaisesRegex(LookupError, "no token"):
                    where(lambda: client.find_machines(MACHINES[0]))
            with with_token(typed) as client:
                with self.assertRaises(TypeError):
                    where(lambda: client.find_machines(MACHINES[0]))
            with with_token(lambda scope: "a b") as client:
                with self.assertRaisesRegex(mde.UsageError, "the token provider's token"):
                    where(lambda: client.find_machines(MACHINES[0]))
            with with_token(lambda scope: "a\0b") as client:
                with self.assertRaisesRegex(ValueError, "the token holds the character"):
                    where(lambda: client.find_machines(MACHINES[0]))

    def test_a_provider_that_fails_while_waiting_ends_the_wait(self) -> None:
        """At once, although there is no progress callback to tell the library so."""
        control("behaviour", {"pending_s": 600})
        looks: List[int] = []

        def provider(scope: str) -> str:
            looks.append(1)
            if len(looks) > 4:
                raise LookupError("the vault is closed")
            return os.environ["MDE_TEST_TOKEN"]

        try:
            action = self.client.collect_package(MACHINES[2], "why")["action"]["id"]
            for where in (self.in_main, self.in_thread):
                looks.clear()
                with with_token(provider) as client:
                    since = time.monotonic()
                    with self.assertRaisesRegex(LookupError, "the vault is closed") as caught:
                        where(lambda: client.wait_action(action, timeout=20))
                    self.assertLess(time.monotonic() - since, 10)
                self.assertEqual(len(looks), 5)
                (outcome,) = getattr(caught.exception, "mde_outcomes")
                self.assertEqual(outcome["error"]["name"], "cancelled")
            self.client.cancel_action(action, "over")
        finally:
            control("behaviour", {"pending_s": 0.1})

    def test_they_run_in_the_thread_that_called(self) -> None:
        seen = set()

        def note(_event: Any) -> None:
            seen.add(threading.current_thread())
            self.client.get_quota()

        def provider(scope: str) -> str:
            seen.add(threading.current_thread())
            return os.environ["MDE_TEST_TOKEN"]

        self.client.fetch_package(MACHINES[0], "why", self.file(), progress=note)
        with with_token(provider) as client:
            client.find_machines(MACHINES[0])
        self.assertEqual(seen, {threading.main_thread()})
        seen.clear()
        call = Background(lambda: self.client.fetch_package(MACHINES[0], "why", self.file(), progress=note)).end()
        self.assertIsNone(call.error)
        self.assertEqual(seen, {call.thread})

    def test_closing_in_a_callback(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "a callback cannot close"):
            self.client.fetch_package(MACHINES[0], "why", self.file(), progress=lambda _: self.client.close())
        self.assertFalse(self.client.closed)


class Signals(Case):
    """Of the main thread, as in a program."""

    def in_a_while(self, before: int, number: int, times: int = 1) -> Background:
        def send() -> float:
            self.until_stalled(before)
            since = time.monotonic()
            for _ in range(times):
                os.kill(os.getpid(), number)
                time.sleep(0.001)
            return since

        return Background(send)

    def test_ctrl_c(self) -> None:
        sender = self.in_a_while(len(requests(STALLED)), signal.SIGINT)
        with self.assertRaises(KeyboardInterrupt) as caught:
            self.stalled()
        ended = time.monotonic()
        self.assertLess(ended - sender.end().result, 1)
        # For those who read tracebacks; the rest is in test_outcomes.py.
        self.assertIsInstance(caught.exception.__context__, mde.CancelledError)
        self.assertEqual(self.client._users, 0)

    def test_ctrl_c_again_and_again(self) -> None:
        """The call has ended when the exception is there, however impatient somebody is."""
        inside = True

        def handler(_number: int, _frame: Any) -> None:
            if inside:
                raise KeyboardInterrupt

        old = signal.signal(signal.SIGINT, handler)
        try:
            for _ in range(10):
                sender = self.in_a_while(len(requests(STALLED)), signal.SIGINT, 30)
                try:
                    try:
                        self.stalled()
                    finally:
                        inside = False
                except KeyboardInterrupt:
                    pass
                inside = False
                self.assertIsNone(sender.end().error)
                eventually(lambda: self.client._users == 0, 5)
                inside = True
        finally:
            signal.signal(signal.SIGINT, old)

    def test_another_signal_whose_handler_raises(self) -> None:
        class Over(Exception):
            pass

        def handler(_number: int, _frame: Any) -> None:
            raise Over

        old = signal.signal(signal.SIGTERM, handler)
        try:
            sender = self.in_a_while(len(requests(STALLED)), signal.SIGTERM)
            with self.assertRaises(Over):
                self.stalled()
            self.assertLess(time.monotonic() - sender.end().result, 1)
        finally:
            signal.signal(signal.SIGTERM, old)

    def test_a_handler_that_triggers_a_cancel(self) -> None:
        cancel = mde.Cancel()
        old = signal.signal(signal.SIGUSR1, lambda *_: cancel.trigger())
        try:
            sender = self.in_a_while(len(requests(STALLED)), signal.SIGUSR1)
            with self.assertRaises(mde.CancelledError):
                self.stalled(cancel=cancel)
            self.assertLess(time.monotonic() - sender.end().result, 1)
        finally:
            signal.signal(signal.SIGUSR1, old)

    def test_a_handler_that_returns_harms_no_call(self) -> None:
        calls: List[int] = []
        old = signal.signal(signal.SIGUSR1, lambda *_: calls.append(1))
        try:
            stop = threading.Event()

            def disturb() -> None:
                while not stop.is_set():
                    os.kill(os.getpid(), signal.SIGUSR1)
                    time.sleep(0.001)

            disturber = Background(disturb)
            end = time.monotonic() + 20
            while len(calls) < 50 and time.monotonic() < end:
                self.client.find_machines(MACHINES[0])
            stop.set()
            disturber.end()
        finally:
            signal.signal(signal.SIGUSR1, old)
        self.assertGreaterEqual(len(calls), 50)

    def test_ctrl_c_in_a_callback(self) -> None:
        def interrupt(_event: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

        since = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            self.client.fetch_package(MACHINES[0], "why", self.file(), progress=interrupt)
        self.assertLess(time.monotonic() - since, 2)

    def test_at_any_moment(self) -> None:
        """Interrupted between any two steps of the package: nothing hangs, and the client serves on."""
        for round in range(60):
            delay = round * 0.00005
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                while True:
                    self.client.find_machines(MACHINES[0], timeout=10)
            except KeyboardInterrupt:
                pass
            timer.join()
        eventually(lambda: self.client._users == 0, 5)
        self.assertEqual(self.client.find_machines(MACHINES[0])["machines"][0]["id"], MACHINES[0])


class Closing(Case):
    def test_use_after_close(self) -> None:
        self.client.close()
        self.client.close()
        self.assertTrue(self.client.closed)
        for use in (lambda: self.client.get_action(NO_ACTION), self.client.get_quota):
            with self.assertRaisesRegex(mde.ClosedError, "the client is closed; make a new one") as caught:
                use()
            self.assertEqual(caught.exception.status, mde.Status.CLOSED)

    def test_while_others_are_inside(self) -> None:
        before = len(requests(STALLED))
        calls = [Background(self.stalled) for _ in range(4)]
        self.until_stalled(before, 4)
        since = time.monotonic()
        closers = [Background(self.client.close) for _ in range(3)]
        for closer in closers:
            self.assertIsNone(closer.end().error)
        self.assertEqual({type(call.end().error) for call in calls}, {mde.ClosedError})
        self.assertLess(time.monotonic() - since, 2)
        self.assertIsNone(self.client._pointer)

    def test_in_a_race_with_new_calls(self) -> None:
        for _ in range(20):
            client = mde.Client(OPTIONS)

            def use() -> None:
                try:
                    while True:
                        client.get_quota()
                except mde.ClosedError:
                    pass

            users = [Background(use) for _ in range(4)]
            time.sleep(0.005)
            client.close()
            for user in users:
                self.assertIsNone(user.end().error)

    def test_a_forgotten_client_is_freed_with_a_warning(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mde.Client(OPTIONS)
            gc.collect()
        self.assertEqual([one.category for one in caught], [ResourceWarning])

    def test_many_threads(self) -> None:
        def some() -> None:
            for n in range(20):
                assert self.client.find_machines(MACHINES[n % 4])["machines"][0]["id"] == MACHINES[n % 4]

        for call in [Background(some) for _ in range(8)]:
            self.assertIsNone(call.end().error)


if __name__ == "__main__":
    unittest.main()
