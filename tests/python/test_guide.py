"""docs/python.md: its blocks of Python, one after the other, as a reader would type them."""

import asyncio
import json
import os
import pathlib
import re
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict

import mde

from support import CHECKOUT, MACHINES, OPTIONS, STALLED, Case, requests

# The device and the folder that the guide names.
DEVICE = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9"
FOLDER = "/var/evidence"


class Guide(Case):
    def test_every_block(self) -> None:
        text = pathlib.Path(CHECKOUT, "docs/python.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)
        self.assertGreater(len(blocks), 6)
        self.assertIn(DEVICE, text)
        options = json.loads(re.findall(r"^```json\n(.*?)^```", text, flags=re.M | re.S)[0])
        self.assertEqual(set(options), {"tenant_id", "client_id", "client_secret"})
        options.update(OPTIONS)
        pathlib.Path(self.file("mde.json")).write_text(json.dumps(options), encoding="utf-8")
        os.environ["VAULT_TOKEN"] = os.environ["MDE_TEST_TOKEN"]
        names: Dict[str, Any] = {"__name__": "__main__"}
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            for block in blocks:
                program = block.replace(DEVICE, MACHINES[0]).replace(FOLDER, self.folder)
                exec(compile(program, "docs/python.md", "exec"), names)
        finally:
            os.chdir(before)
            mde.log_to(None)
        (kept,) = pathlib.Path(self.file("journal.jsonl")).read_text(encoding="utf-8").splitlines()
        self.assertEqual(json.loads(kept)["action"]["machineId"], MACHINES[0])
        self.check_the_recipe(names)

    def check_the_recipe(self, names: Dict[str, Any]) -> None:
        awaitable = names["awaitable"]

        async def together() -> Any:
            return await asyncio.gather(*(awaitable(self.client.find_machines, one) for one in MACHINES))

        found = asyncio.run(together())
        self.assertEqual([one["machines"][0]["id"] for one in found], MACHINES)

        async def failing() -> None:
            await awaitable(self.client.find_machines, "10.0.0.5@yesterday")

        with self.assertRaises(mde.MdeError):
            asyncio.run(failing())
        self.check_cancelling(names)
        names["threads"].shutdown()

    def check_cancelling(self, names: Dict[str, Any]) -> None:
        """A task that is cancelled ends its call, says what became of it, and never holds up the loop."""
        awaitable = names["awaitable"]

        async def kept(*call: Any) -> Any:
            try:
                return await awaitable(*call)
            except asyncio.CancelledError as cancelled:
                return getattr(cancelled, "mde_outcomes", ())

        async def stalled() -> "asyncio.Future[Any]":
            before = len(requests(STALLED))
            task = asyncio.ensure_future(kept(self.client.collect_package, STALLED, "why"))
            while len(requests(STALLED)) == before:
                await asyncio.sleep(0.01)
            return task

        async def running(times: int) -> Any:
            task = await stalled()
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            return await asyncio.wait_for(task, 5)

        for times in (1, 2):
            (outcome,) = asyncio.run(running(times))
            self.assertEqual((outcome["error"]["name"], outcome["error"]["outcome"]), ("cancelled", "unknown"))
            self.assertEqual(self.client._users, 0)

        async def succeeding() -> Any:
            """The call is through, and the loop has not yet heard of it."""
            through = threading.Event()

            def find(*arguments: Any, **named: Any) -> Any:
                try:
                    return self.client.find_machines(*arguments, **named)
                finally:
                    through.set()

            task = asyncio.ensure_future(kept(find, MACHINES[0]))
            await asyncio.sleep(0)
            through.wait(10)
            # Not asyncio.sleep(): the executor is to be done with it, and the loop not to know.
            time.sleep(0.1)
            task.cancel()
            return await asyncio.wait_for(task, 5)

        (outcome,) = asyncio.run(succeeding())
        self.assertEqual(outcome["machines"][0]["id"], MACHINES[0])

        async def queued() -> Any:
            """The one thread is busy for as long as it takes."""
            first = await stalled()
            second = asyncio.ensure_future(kept(self.client.find_machines, MACHINES[1]))
            await asyncio.sleep(0.05)
            second.cancel()
            outcomes = await asyncio.wait_for(second, 5)
            self.assertFalse(first.done())
            first.cancel()
            await asyncio.wait_for(first, 5)
            return outcomes

        before = len(requests("machines/" + MACHINES[1]))
        many, names["threads"] = names["threads"], ThreadPoolExecutor(max_workers=1)
        try:
            self.assertEqual(asyncio.run(queued()), ())
        finally:
            names["threads"].shutdown()
            names["threads"] = many
        self.assertEqual(len(requests("machines/" + MACHINES[1])), before)

        async def beats() -> int:
            """The loop runs on while the outcome is waited for."""
            through = threading.Event()

            def slow(cancel: mde.Cancel) -> Any:
                through.wait(10)
                return {}

            task = asyncio.ensure_future(kept(slow))
            await asyncio.sleep(0.05)
            task.cancel()
            count = 0
            while count < 20:
                await asyncio.sleep(0.001)
                count += 1
            self.assertFalse(task.done())
            through.set()
            self.assertEqual(await asyncio.wait_for(task, 5), ({},))
            return count

        since = time.monotonic()
        self.assertEqual(asyncio.run(beats()), 20)
        self.assertLess(time.monotonic() - since, 5)


if __name__ == "__main__":
    unittest.main()
