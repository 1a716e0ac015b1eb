"""Picture files to arrays and back.

Everywhere in bnnjax a picture is a NumPy array, float32, sRGB (gamma-encoded, as in files), layout
[H, W, 3], range [0, 1]. `load` makes one from anything; `save_png` writes one to a file.
"""

from bnnjax.images.decode import SUFFIXES, failure, load, load_bytes
from bnnjax.images.png import read_metadata, save_png
from bnnjax.images.sheet import contact_sheet
from bnnjax.images.sizes import (
    center_crop,
    fit,
    pillow_crop_resize,
    resize,
    square,
    zoo_crop_resize,
)

__all__ = [
    "SUFFIXES",
    "center_crop",
    "contact_sheet",
    "failure",
    "fit",
    "load",
    "load_bytes",
    "pillow_crop_resize",
    "read_metadata",
    "resize",
    "save_png",
    "square",
    "zoo_crop_resize",
]
