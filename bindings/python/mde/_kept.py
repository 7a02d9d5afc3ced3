"""Numbers by which the library refers to Python callbacks. It reports when it no longer needs one."""

import itertools
from typing import Dict, Generic, Optional, TypeVar

from ._library import FREE_FN

T = TypeVar("T")


class Kept(Generic[T]):
    """Objects whose number the library holds as `user_data`. An object is dropped when the library frees its number."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._things: Dict[int, T] = {}
        self.free = FREE_FN(self.forget)

    def keep(self, thing: T) -> int:
        number = next(self._numbers)
        self._things[number] = thing
        return number

    def forget(self, number: Optional[int]) -> None:
        self._things.pop(number or 0, None)

    def __getitem__(self, number: Optional[int]) -> T:
        return self._things[number or 0]

    def __len__(self) -> int:
        return len(self._things)
