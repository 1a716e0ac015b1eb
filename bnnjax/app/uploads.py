"""Pictures that visitors send: checked before they are decoded, and kept byte for byte.

A recipe names the hash of a picture's file, so the file is not converted.
"""

import contextlib
import secrets
import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bnnjax import assets, images
from bnnjax.app.config import AppConfig
from bnnjax.images.png import to_pillow
from bnnjax.port.storage.download import file_sha256

FORMATS = ("JPEG", "PNG", "WEBP")  # what all browsers show; Pillow's other readers are not tried
THUMBNAIL = 240  # px, the shorter side
LONGEST = 4  # times the shorter side, which `size` sets
_NAME = 180  # bytes of a file name; systems allow 255
_STRANGE = frozenset('<>:"|?*') | {chr(code) for code in (*range(32), 127)}


class Upload(NamedTuple):
    """A picture that can be chosen as photograph or painting.

    Attributes:
      id: an unguessable name; that of a sample is its own.
      kind: "photograph" or "painting".
      path: the file, under the name that the visitor gave it.
      thumbnail: a small JPEG.
      sha256: the hash of the file.
    """

    id: str
    kind: str
    path: Path
    thumbnail: Path
    sha256: str

    def delete(self) -> None:
        """Removes the files."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
        self.thumbnail.unlink(missing_ok=True)


def samples(folder: Path) -> dict[str, Upload]:
    """The pictures that ship with the package, by their ids; the thumbnails go into ``folder``."""
    found = {}
    for kind, paths in zip(("photograph", "painting"), assets.samples(), strict=True):
        for path in paths:
            thumbnail = save_jpeg(folder / path.name, images.load_fitted(path, size=THUMBNAIL))
            found[path.stem] = Upload(path.stem, kind, path, thumbnail, file_sha256(path))
    return found


def place(folder: Path, name: str) -> Path:
    """Where a visitor's file of this name is received: alone in a new folder."""
    own = folder / secrets.token_urlsafe(12)
    own.mkdir(parents=True)
    return own / safe_name(name)


def check(path: Path, kind: str, config: AppConfig) -> Upload:
    """Checks a file that was received at its `place`, and keeps it.

    Raises:
      ValueError: it is not a JPEG, PNG or WebP, damaged, or has more pixels than allowed. The file
        is deleted.
    """
    thumbnail = path.parent.with_suffix(".jpg")
    try:
        check_header(path, config)
        # With a limit of its own: what decoding takes depends on more than the number of pixels.
        small = images.load_fitted(path, size=THUMBNAIL, most=config.decode_mib * 2**20)
        save_jpeg(thumbnail, small)
        return Upload(path.parent.name, kind, path, thumbnail, file_sha256(path))
    except Exception as error:
        shutil.rmtree(path.parent, ignore_errors=True)
        thumbnail.unlink(missing_ok=True)
        raise ValueError(str(error).replace(f"{path.parent}/", "")) from None


def check_header(path: Path, config: AppConfig) -> None:
    """Raises a ValueError unless the header of a file promises a picture that is allowed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                short, long = sorted(picture.size)
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: has more pixels than any photograph") from None
    except Exception as error:
        kinds = "needs to be a JPEG, PNG or WebP picture"
        raise ValueError(f"{path}: {kinds}") from error
    if short * long > config.upload_megapixels * 10**6:
        raise ValueError(
            f"{path}: has {short * long / 1e6:.0f} megapixels, at most {config.upload_megapixels} "
            "are allowed"
        )
    if long > LONGEST * short:
        raise ValueError(f"{path}: {short}×{long} px is too long; at most {LONGEST}:1 is allowed")


def safe_name(name: str) -> str:
    """A visitor's file name without folders and strange characters, and not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = Path("".join(c for c in last if c not in _STRANGE).strip(" ."))
    suffix = kept.suffix[:8]
    stem = kept.stem.encode("utf-8", "ignore")[: _NAME - len(suffix.encode())]
    return (stem.decode("utf-8", "ignore") or "picture") + suffix


def save_jpeg(path: Path, picture: np.ndarray) -> Path:
    """Writes a picture [H, W, 3] to be looked at in the page."""
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(parents=True)
    to_pillow(picture).save(path, "JPEG", quality=90, subsampling=0)
    return path
