"""The program examples/python/fleet.py."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest
from typing import Any, Dict, List

from support import MACHINES, OPTIONS, Case, control, eventually, requests

PROGRAM = str(pathlib.Path(os.environ["MDE_TEST_EXAMPLE"]).with_name("fleet.py"))


class Fleet(Case):
    def setUp(self) -> None:
        super().setUp()
        pathlib.Path(self.file("mde.json")).write_text(json.dumps(OPTIONS), encoding="utf-8")
        os.mkdir(self.file("packages"))
        self.how: Dict[str, Any] = dict(cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")

    def command(self, *devices: str) -> List[str]:
        # As spreadsheets write it.
        lines = ["\ufeffDevice Name,Room"] + ["%s,7" % one for one in devices]
        pathlib.Path(self.file("devices.csv")).write_text("\r\n".join(lines), encoding="utf-8")
        return [sys.executable, PROGRAM, "devices.csv", "packages", "case 4711"]

    def run_it(self, *devices: str) -> Any:
        return subprocess.run(self.command(*devices), timeout=60, **self.how)

    def collections(self, machine: str) -> int:
        return len(requests(machine + "/collectInvestigationPackage"))

    def test_success(self) -> None:
        before = self.collections(MACHINES[1])
        ran = self.run_it("DEVICE-0001", "device-0002.contoso.example", MACHINES[0])
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertNotIn("left out", ran.stderr)
        for line in ("device name: 0", "device-0001: 1", "%s: 1" % MACHINES[0]):
            self.assertIn("\n%s devices\n" % line, "\n" + ran.stderr)
        self.assertIn("\n2 of 2 done, ", ran.stderr)
        self.assertEqual([row.split()[:2] for row in ran.stdout.splitlines()],
                         [["done", MACHINES[0]], ["done", MACHINES[1]]])
        for row in ran.stdout.splitlines():
            self.assertTrue(pathlib.Path(self.folder, row.split()[2]).is_file(), row)
        # The same command asks nobody again.
        again = self.run_it("device-0001", "device-0002")
        self.assertEqual((again.returncode, again.stdout), (0, ran.stdout), again.stderr)
        self.assertEqual(self.collections(MACHINES[1]), before + 1)

    def test_unclear_name(self) -> None:
        twins = [{"id": MACHINES[at], "computerDnsName": "twin.%s.example" % "ab"[at]} for at in (0, 1)]
        control("script", {"match": {"query_contains": "twin"}, "times": 0,
                           "reply": {"status": 200, "json": {"value": twins}}})
        before = self.collections(MACHINES[0]) + self.collections(MACHINES[1])
        ran = self.run_it("twin", "", " ", "device-0003", "device-00")
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertIn("\ntwin: 2 devices\n", ran.stderr)
        self.assertIn("\ndevice-00: 0 devices\n", ran.stderr)
        self.assertTrue(ran.stderr.endswith("no device, or several: twin, device-00\n"), ran.stderr)
        self.assertEqual([row.split()[:2] for row in ran.stdout.splitlines()], [["done", MACHINES[2]]])
        self.assertEqual(self.collections(MACHINES[0]) + self.collections(MACHINES[1]), before)

    def test_failure(self) -> None:
        control("behaviour", {"machine_outcomes": {MACHINES[2]: "Failed"}})
        try:
            ran = self.run_it("device-0003", "device-0004")
        finally:
            control("behaviour", {"machine_outcomes": {}})
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertIn("(incomplete, 70)\n", ran.stderr)
        failed, done = ran.stdout.splitlines()
        self.assertIn("action_failed", failed)
        self.assertEqual(done.split()[:2], ["done", MACHINES[3]])

    def test_bad_command(self) -> None:
        for arguments, said in (([], "DEVICES.csv FOLDER"), (["none.csv", "packages", "why"], "none.csv")):
            ran = subprocess.run([sys.executable, PROGRAM] + arguments, timeout=60, **self.how)
            self.assertEqual((ran.returncode, ran.stdout), (1, ""), ran.stderr)
            self.assertIn(said, ran.stderr)
            self.assertNotIn("Traceback", ran.stderr)

    def test_ctrl_c(self) -> None:
        before = self.collections(MACHINES[1])
        control("behaviour", {"in_progress_s": 600})
        try:
            running = subprocess.Popen(self.command("device-0001", "device-0002"), **self.how)
            eventually(lambda: self.collections(MACHINES[1]) > before)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=30)
        finally:
            control("behaviour", {"in_progress_s": 0.1})
        self.assertEqual((running.returncode, out), (1, ""))
        self.assertTrue(err.endswith("\ninterrupted; run the same command to resume\n"), err)
        self.assertNotIn("Traceback", err)
        ran = self.run_it("device-0001", "device-0002")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(self.collections(MACHINES[1]), before + 1)


if __name__ == "__main__":
    unittest.main()
