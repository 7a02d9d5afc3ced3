"""What a forked child finds: locks that threads of the parent may have held, and none of these threads."""

import os
import weakref


class Forkable:
    """Something that is told when it wakes up in a forked child, before anybody else uses it."""

    def __init__(self) -> None:
        _known.add(self)

    def _after_fork(self) -> None:
        raise NotImplementedError


_known: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def _tell_all() -> None:
    for one in list(_known):
        one._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell_all)
