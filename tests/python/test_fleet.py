"""Jobs over several devices: fetched, stopped, resumed, read, and as an iterator."""

import _thread
import json
import os
import threading
import time
import unittest
from typing import Any, Dict, Iterator, List

import mde
from mde._call import Call
from mde._devices import as_they_end

from support import MACHINES, OPTIONS, STALLED, Background, Case, control, eventually, requests, with_token

UNKNOWN = "0123456789012345678901234567890123456789"


def workers() -> List[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "mde"]


class Fleet(Case):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(lambda: self.assertEqual(workers(), []))

    def slowly(self, seconds: float) -> None:
        """Collections take so long."""
        control("behaviour", {"in_progress_s": seconds})
        self.addCleanup(control, "behaviour", {"in_progress_s": 0.1})

    def check_all(self, job: mde.FetchedPackages, count: int = 4) -> None:
        self.assertEqual([one["machine_id"] for one in job["packages"]], MACHINES[:count])
        self.assertEqual((job["summary"]["done"], job["summary"]["unfinished"]), (count, 0))
        for one in job["packages"]:
            self.assertEqual((one["state"], one["package"].get("action_id")), ("done", one["action"]["id"]))
            self.assertEqual(os.path.getsize(one["package"]["path"]), one["package"]["bytes"])

    def test_every_package(self) -> None:
        events: List[mde.ProgressEvent] = []
        job = self.client.fetch_packages(MACHINES, "case 4711", self.folder, progress=events.append)
        self.check_all(job)
        whole = [event for event in events if event["stage"] == "fleet"]
        self.assertEqual((whole[-1]["devices"], whole[-1]["done"]), (4, 4))
        self.assertTrue(all(("machine_id" in event) == (event["stage"] != "fleet") for event in events))
        self.assertEqual(mde.read_packages(self.folder), job)
        self.assertEqual(self.client.fetch_packages(None, "case 4711", self.folder), job)

    def test_the_forms_of_devices(self) -> None:
        named: mde.Device = {"machine_id": MACHINES[0], "comment": "own", "file": "one.zip"}
        first = self.client.fetch_packages([named], "case 4711", self.folder)
        self.assertEqual(first["packages"][0]["action"]["requestorComment"], "own")
        self.assertTrue(os.path.exists(self.file("one.zip")))
        found = self.client.find_machines(MACHINES[1])
        self.assertEqual(self.client.fetch_packages(found, "case 4711", self.folder)["summary"]["done"], 2)
        self.check_all(self.client.fetch_packages((one for one in MACHINES), "case 4711", self.folder))
        wrong: Any
        for wrong in (MACHINES[0], b"x", 5):
            with self.assertRaisesRegex(TypeError, "^devices must be several device ids"):
                self.client.fetch_packages(wrong, "why", self.folder)
            with self.assertRaises(TypeError):
                self.client.iter_packages(wrong, "why", self.folder)
        with self.assertRaises(mde.UsageError):
            self.client.fetch_packages(["a/b"], "why", self.folder)
        with self.assertRaises(mde.UsageError):
            self.client.fetch_packages(["\ud800"], "why", self.folder)

    def test_a_token_provider_runs_in_the_thread_of_the_call(self) -> None:
        threads = []

        def provider(scope: str) -> str:
            threads.append(threading.current_thread())
            return os.environ["MDE_TEST_TOKEN"]

        with with_token(provider) as client:
            self.check_all(client.fetch_packages(MACHINES, "case 4711", self.folder))
            # A collection, a link for each, and at least one poll.
            self.assertGreaterEqual(len(threads), 2 * len(MACHINES) + 1)
            self.assertEqual(set(threads), {threading.current_thread()})

            class Refused(Exception):
                pass

            def refuse(scope: str) -> str:
                raise Refused

        with with_token(refuse) as client, self.assertRaises(Refused):
            client.fetch_packages(None, "case 4711", self.folder)

    def test_stopped_and_resumed(self) -> None:
        class Enough(Exception):
            pass

        def enough(event: mde.ProgressEvent) -> None:
            raise Enough

        with self.assertRaises(Enough) as stopped:
            self.client.fetch_packages(MACHINES, "case 4711", self.folder, progress=enough)
        (outcome,) = getattr(stopped.exception, "mde_outcomes")
        self.assertEqual((outcome["error"]["name"], len(outcome["packages"])), ("cancelled", 4))
        with mde.Client(OPTIONS) as other:
            with self.assertRaises(mde.DeadlineError):
                other.fetch_packages(None, "case 4711", self.folder, timeout=0)
            job = other.fetch_packages(None, "case 4711", self.folder)
        self.check_all(job)
        for before, after in zip(outcome["packages"], job["packages"]):
            self.assertEqual(before.get("action", after["action"])["id"], after["action"]["id"])

    def test_incomplete(self) -> None:
        with self.assertRaises(mde.IncompleteError) as raised:
            self.client.fetch_packages([MACHINES[0], UNKNOWN], "why", self.folder)
        error = raised.exception
        self.assertIsInstance(error, mde.ServiceError)
        assert error.packages is not None and error.summary is not None
        self.assertEqual([one["state"] for one in error.packages], ["done", "failed"])
        self.assertEqual(error.packages[1]["error"]["name"], "not_found")
        self.assertEqual((error.summary["done"], error.summary["failed"], error.retryable), (1, 1, False))
        self.assertEqual(mde.read_packages(self.folder)["packages"], error.packages)
        # It is asked again only where that is said.
        before = len(requests(UNKNOWN))
        with self.assertRaises(mde.IncompleteError):
            self.client.fetch_packages(None, "why", self.folder)
        self.assertEqual(len(requests(UNKNOWN)), before)
        with self.assertRaises(mde.IncompleteError):
            self.client.fetch_packages({"devices": [], "retry": "failed"}, "why", self.folder)
        self.assertGreater(len(requests(UNKNOWN)), before)
        with self.assertRaises(mde.FileError) as missing:
            mde.read_packages(self.file("missing"))
        self.assertIsNone(missing.exception.packages)

    def test_as_they_end(self) -> None:
        self.slowly(0.5)
        devices = self.client.iter_packages([*MACHINES, UNKNOWN], "case 4711", self.folder)
        # Nothing begins before the first.
        self.assertEqual((os.listdir(self.folder), workers()), ([], []))
        states: Dict[str, str] = {}
        first = next(devices)
        self.assertEqual((first["machine_id"], first["state"]), (UNKNOWN, "failed"))
        self.assertNotIn("stage", first)
        self.assertGreater(mde.read_packages(self.folder)["summary"]["unfinished"], 0)
        for device in devices:
            self.assertNotIn(device["machine_id"], states)
            states[device["machine_id"]] = device["state"]
            self.assertTrue(os.path.exists(device["package"]["path"]))
        self.assertEqual(states, {machine: "done" for machine in MACHINES})
        # Those of earlier calls come, too.
        again = list(self.client.iter_packages(None, "case 4711", self.folder))
        self.assertEqual(again, mde.read_packages(self.folder)["packages"])

    def test_a_loop_that_is_left_ends_the_call(self) -> None:
        self.slowly(60)
        for device in self.client.iter_packages([UNKNOWN, *MACHINES], "case 4711", self.folder):
            self.assertEqual(device["machine_id"], UNKNOWN)
            break
        self.assertEqual(workers(), [])
        devices = self.client.iter_packages(None, "case 4711", self.folder)
        devices.close()
        self.slowly(0.1)
        # Another call can work in the folder.
        done = [one["state"] for one in self.client.iter_packages(None, "case 4711", self.folder)]
        self.assertEqual(sorted(done), ["done"] * 4 + ["failed"])

    def test_what_ends_an_iterator(self) -> None:
        self.slowly(60)
        with self.assertRaises(mde.DeadlineError) as late:
            list(self.client.iter_packages(MACHINES, "case 4711", self.folder, timeout=0.5))
        self.assertEqual(len(late.exception.packages or []), 4)
        with mde.Cancel() as cancel:
            waiting = Background(lambda: list(self.client.iter_packages(None, "why", self.folder, cancel=cancel)))
            eventually(lambda: len(workers()) == 1)
            cancel.trigger()
            self.assertIsInstance(waiting.end().error, mde.CancelledError)
        # Any thread may close the client, that of the loop as well.
        client = mde.Client(OPTIONS)
        with self.assertRaises(mde.ClosedError):
            for _ in client.iter_packages([UNKNOWN], "why", self.folder):
                client.close()
        with self.assertRaises(mde.ClosedError):
            next(client.iter_packages(None, "why", self.folder))

    def test_ctrl_c(self) -> None:
        self.slowly(60)

        def interrupt() -> None:
            eventually(lambda: len(requests("collectInvestigationPackage")) > before)
            _thread.interrupt_main()

        before = len(requests("collectInvestigationPackage"))
        other = Background(interrupt)
        since = time.monotonic()
        with self.assertRaises(KeyboardInterrupt) as interrupted:
            list(self.client.iter_packages(MACHINES, "case 4711", self.folder))
        self.assertLess(time.monotonic() - since, 5)
        (outcome,) = getattr(interrupted.exception, "mde_outcomes")
        self.assertEqual((outcome["error"]["name"], outcome["summary"]["devices"]), ("cancelled", 4))
        other.end()

    def test_a_forked_child_ends(self) -> None:
        self.slowly(60)
        devices = self.client.iter_packages([UNKNOWN, *MACHINES], "case 4711", self.folder)
        next(devices)
        child = os.fork()
        if child == 0:
            try:
                next(devices)
            except mde.ForkedError:
                os._exit(7)
            finally:
                os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 7)
        devices.close()


    def test_a_call_that_is_stopped_before_it_begins(self) -> None:
        call = Call[Any](self.client)
        call.fail(ValueError("stopped"))
        arguments = [STALLED.encode(), b"why"]
        never = Background(lambda: self.client._perform("mde_collect_package", arguments, None, None, call=call))
        self.assertIsInstance(never.end().error, ValueError)


class Devices(unittest.TestCase):
    """Each device once, whatever events come."""

    document = {"packages": [{"machine_id": str(n), "state": "done"} for n in range(3)], "summary": {}}

    def ended(self, events: List[str], then: Any) -> Iterator[Any]:
        def perform(call: "Call[Any]") -> Any:
            for machine in events:
                assert call.progress is not None
                call.progress({"stage": "download", "machine_id": machine})
                call.progress({"stage": "ended", "machine_id": machine, "state": "done"})
            return then()

        return as_they_end(None, perform)

    def failing(self, status: mde.Status) -> Any:
        raise mde.error(status, {"error": {"status": int(status)}, **self.document})  # type: ignore

    def test_events_that_are_left_out(self) -> None:
        for events in ([], ["1"], ["2", "0", "1"]):
            for then in (lambda: self.document, lambda: self.failing(mde.Status.INCOMPLETE)):
                found = [one["machine_id"] for one in self.ended(events, then)]
                self.assertEqual(found[: len(events)], events)
                self.assertEqual(sorted(found), ["0", "1", "2"])
                self.assertEqual(json.dumps(list(self.ended(["1"], then))[0]), '{"machine_id": "1", "state": "done"}')

    def test_another_failure_is_raised_after_them(self) -> None:
        devices = self.ended(["2"], lambda: self.failing(mde.Status.SERVICE))
        self.assertEqual(next(devices)["machine_id"], "2")
        with self.assertRaises(mde.ServiceError):
            next(devices)


if __name__ == "__main__":
    unittest.main()
