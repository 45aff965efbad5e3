from collections.abc import Callable, Mapping
from typing import Any

class Writer:
    def __init__(
        self,
        templates: Mapping[type[Any], tuple[bytes | str, ...] | None],
        other: Callable[[Any], str],
        quote: Callable[[str], str],
        write: Callable[[bytes], object],
    ) -> None: ...
    def add(self, ev: object, /) -> None: ...
    def flush(self) -> None: ...
