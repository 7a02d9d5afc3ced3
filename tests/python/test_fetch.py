"""The program examples/python/fetch.py."""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest
from typing import Any, List

import mde

from support import MACHINES, OPTIONS, STALLED, URL, Case, control, eventually, requests

PROGRAM = os.environ["MDE_TEST_EXAMPLE"]


class Fetch(Case):
    def command(self, machine: str, *more: str) -> List[str]:
        own = [sys.executable, PROGRAM, "--machine", machine, "--comment", "case 4711", "--out", self.file()]
        for name in ("api_url", "login_url", "poll_interval_ms", "quota_limits"):
            own += ["--option", "%s=%s" % (name, OPTIONS[name])]
        return own + list(more)

    def environment(self) -> Any:
        return dict(os.environ, MDE_TENANT_ID=OPTIONS["tenant_id"], MDE_CLIENT_ID=OPTIONS["client_id"],
                    MDE_CLIENT_SECRET=OPTIONS["client_secret"], PYTHONIOENCODING="utf-8")

    def run_it(self, *command: str) -> Any:
        return subprocess.run(command, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, encoding="utf-8")

    def test_success(self) -> None:
        ran = self.run_it(*self.command(MACHINES[0]))
        self.assertEqual(ran.returncode, 0, ran.stderr)
        digest = hashlib.sha256(pathlib.Path(self.file()).read_bytes()).hexdigest()
        self.assertIn("sha256       %s\n" % digest, ran.stdout)
        self.assertIn("          80 Autoruns/HKLM_Run.txt\n", ran.stdout)
        self.assertIn("collecting   action ", ran.stderr)
        self.assertIn("downloading ", ran.stderr)
        again = self.run_it(*self.command(MACHINES[0], "--json"))
        self.assertTrue(json.loads(again.stdout)["package"]["existing"])

    def test_failure(self) -> None:
        control("behaviour", {"machine_outcomes": {MACHINES[1]: "Failed"}})
        try:
            ran = self.run_it(*self.command(MACHINES[1]))
        finally:
            control("behaviour", {"machine_outcomes": {}})
        self.assertEqual((ran.returncode, ran.stdout), (1, ""), ran.stderr)
        self.assertIn("(action_failed, 64)\n", ran.stderr)
        self.assertIn("\n  action_id      ", ran.stderr)

    def test_a_transient_failure(self) -> None:
        ran = self.run_it(*self.command(STALLED, "--timeout", "0.5"))
        self.assertEqual(ran.returncode, 3, ran.stderr)
        self.assertIn("the error is transient; run the same command to resume", ran.stderr)

    def test_a_wrong_command_line(self) -> None:
        self.assertEqual(self.run_it(sys.executable, PROGRAM, "--machine", "x").returncode, 2)
        ran = self.run_it(*self.command(MACHINES[0], "--option", "client_secret=abc"))
        self.assertEqual(ran.returncode, 2)
        self.assertIn("secrets do not belong on a command line", ran.stderr)
        self.assertNotIn("abc", ran.stderr)
        ran = self.run_it(*self.command(MACHINES[0], "--option", "cloud=moon"))
        self.assertEqual(ran.returncode, 2)
        self.assertIn("cloud", ran.stderr)
        self.assertEqual(self.run_it(sys.executable, PROGRAM, "--help").returncode, 0)

    def test_ctrl_c(self) -> None:
        before = len(requests(STALLED))
        running = subprocess.Popen(self.command(STALLED), env=self.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, encoding="utf-8")
        eventually(lambda: len(requests(STALLED)) > before)
        since = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
        self.assertLess(time.monotonic() - since, 1)
        self.assertEqual((running.returncode, out), (130, ""))
        self.assertIn("fetch.py: interrupted; run the same command to resume\n", err)
        self.assertIn("it is not known whether a collection was started", err)
        self.assertNotIn("Traceback", err)


if __name__ == "__main__":
    unittest.main()
