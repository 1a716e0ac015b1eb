"""The options of the page: what it offers, and what it allows."""

import dataclasses
from collections.abc import Sequence

from bnnjax.nst.config import LARGEST, SMALLEST
from bnnjax.options import integer, option


@dataclasses.dataclass(frozen=True)
class AppConfig:
    """What the page offers and allows; ``launch/app.py --help`` describes each option.

    Raises:
      ValueError: an invalid value.
    """

    models: Sequence[str] | None = option(
        None, "names or files of the networks on offer; default: all that are published"
    )
    largest: int = option(1024, "largest size of a picture, its shorter side in pixels")
    most_steps: int = option(1000, "most optimisation steps of a picture")
    upload_mib: int = option(40, "largest file that is accepted, in MiB")
    upload_megapixels: int = option(50, "most pixels of a file that is accepted, in millions")
    decode_mib: int = option(1024, "most memory that decoding a file may take, in MiB")
    memory_mib: int = option(
        4096, "memory of the server above which it drops compiled programs, in MiB"
    )
    kept: int = option(24, "most pictures of a visitor that are kept, of each kind")
    visitors: int = option(100, "most visitors at a time")
    patience_seconds: int = option(
        30, "seconds after which a visitor's job ends if no page is open"
    )
    idle_minutes: int = option(
        60, "minutes after which a visitor's pictures are deleted if no page is open"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self)[1:]:
            low, high = _RANGES.get(field.name, (1, 10**6))
            checked = integer(field.name, getattr(self, field.name), low, high)
            object.__setattr__(self, field.name, checked)


_RANGES = {"largest": (SMALLEST, LARGEST), "patience_seconds": (0, 10**6)}
