"""Files that ship with the package."""

from importlib import resources
from pathlib import Path

PHOTOGRAPHS = ("lake", "still_life")
PAINTINGS = ("night", "town")


def samples() -> dict[str, Path]:
    """The sample pictures, 512×384 px, by name: `PHOTOGRAPHS` and `PAINTINGS`."""
    folder = Path(str(resources.files(__name__))) / "samples"
    return {name: folder / f"{name}.jpg" for name in (*PHOTOGRAPHS, *PAINTINGS)}
