"""Repairs objects in a forked child. It inherits locks that threads of the parent may hold, but not these threads."""

import os
import weakref


class Forkable:
    """An object whose `_after_fork` runs in a forked child, before anything else uses the object."""

    def __init__(self) -> None:
        _known.add(self)

    def _after_fork(self) -> None:
        raise NotImplementedError


_known: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def _repair_all() -> None:
    for one in list(_known):
        one._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_repair_all)
