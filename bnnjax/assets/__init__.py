"""Files that ship with the package."""

from importlib import resources
from pathlib import Path

SAMPLES = Path(str(resources.files(__name__))) / "samples"


def samples() -> tuple[list[Path], list[Path]]:
    """The sample pictures, 512×384 px: photographs, and the paintings that go with them."""
    photographs = [SAMPLES / f"{name}.jpg" for name in ("lake", "still_life")]
    paintings = [SAMPLES / f"{name}.jpg" for name in ("night", "town")]
    return photographs, paintings
