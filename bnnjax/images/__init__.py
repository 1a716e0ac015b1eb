"""Picture files to arrays and back.

Everywhere in bnnjax a picture is a NumPy array, float32, sRGB (gamma-encoded, as in files), layout
[H, W, 3], range [0, 1]. `load` makes one from anything; `save_picture` writes one to a file.
"""

from bnnjax.images.decode import (
    HEIC,
    SUFFIXES,
    failure,
    load,
    load_alpha,
    load_bytes,
    load_fitted,
)
from bnnjax.images.encode import FORMATS, LONGEST, format_of, read_metadata, save_picture, save_png
from bnnjax.images.sheet import contact_sheet
from bnnjax.images.sizes import (
    center_crop,
    fit,
    pillow_crop_resize,
    resize,
    resize_channel,
    square,
    zoo_crop_resize,
)

__all__ = [
    "FORMATS",
    "HEIC",
    "LONGEST",
    "SUFFIXES",
    "center_crop",
    "contact_sheet",
    "failure",
    "fit",
    "format_of",
    "load",
    "load_alpha",
    "load_bytes",
    "load_fitted",
    "pillow_crop_resize",
    "read_metadata",
    "resize",
    "resize_channel",
    "save_picture",
    "save_png",
    "square",
    "zoo_crop_resize",
]
