"""Thousands of calls take no more memory than some."""

import gc
import resource
import unittest

import mde

from support import MACHINES, NO_ACTION, OPTIONS, Case


LONG = 20000 * "x"


class Memory(Case):
    def test_it_does_not_grow(self) -> None:
        def resident() -> int:
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * resource.getpagesize()

        def calls(count: int) -> None:
            for n in range(count):
                if n % 4 == 0:
                    with self.assertRaises(mde.NotFoundError):
                        self.client.get_action(NO_ACTION)
                elif n % 4 == 1:
                    self.client.find_machines(MACHINES[0], timeout=10, cancel=mde.Cancel(20))
                elif n % 4 == 2:
                    self.client.get_quota()
                else:
                    # Large enough that one copy of each which is not freed would show.
                    self.assertEqual(mde.json_get('{"a":"%s"}' % LONG, "/a"), LONG)
                    with mde.Client(OPTIONS):
                        pass
            gc.collect()

        calls(400)
        before = resident()
        calls(2000)
        grown = resident() - before
        self.assertLess(grown, 4 << 20, "grew by %d bytes" % grown)


if __name__ == "__main__":
    unittest.main()
