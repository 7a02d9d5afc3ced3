"""docs/python.md: its blocks of Python, one after the other, as a reader would type them."""

import json
import os
import pathlib
import re
import unittest
from typing import Any, Dict

import mde

from support import CHECKOUT, MACHINES, OPTIONS, Case, control

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
        self.check_the_recipe(names)

    def check_the_recipe(self, names: Dict[str, Any]) -> None:
        """A task that is cancelled really ends its call."""
        import asyncio
        import time

        from support import STALLED, eventually, requests

        awaitable = names["awaitable"]

        async def cancelled() -> float:
            before = len(requests(STALLED))
            task = asyncio.ensure_future(awaitable(self.client.collect_package, STALLED, "why"))
            while len(await asyncio.to_thread(requests, STALLED)) == before:
                await asyncio.sleep(0.01)
            since = time.monotonic()
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return time.monotonic() - since
            raise AssertionError("it was not cancelled")

        self.assertLess(asyncio.run(cancelled()), 1)
        self.assertEqual(self.client._users, 0)

        async def together() -> Any:
            return await asyncio.gather(*(awaitable(self.client.find_machines, one) for one in MACHINES))

        found = asyncio.run(together())
        self.assertEqual([one["machines"][0]["id"] for one in found], MACHINES)

        async def failing() -> None:
            await awaitable(self.client.find_machines, "10.0.0.5@yesterday")

        with self.assertRaises(mde.MdeError):
            asyncio.run(failing())


if __name__ == "__main__":
    unittest.main()
