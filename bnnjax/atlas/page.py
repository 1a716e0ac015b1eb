"""The page of an atlas: one HTML file that zooms, and shows a cell's details under the pointer."""

import base64
import html
import io
import json
import string
from importlib import resources
from typing import Any

import numpy as np

from bnnjax import images
from bnnjax.atlas.atlas import Atlas, Cell
from bnnjax.atlas.directions import cosines
from bnnjax.images.png import to_pillow

THUMBNAIL = 62  # px
PHOTOGRAPHS = 8  # per cell


def render(atlas: Atlas) -> str:
    """The page, with all pictures and data inside; it loads nothing from elsewhere."""
    config = atlas.config
    data = {
        "grid": config.grid,
        "size": config.size,
        "thumbnail": THUMBNAIL,
        "image": _jpeg(atlas.picture(), quality=90),
        "cells": [_cell(atlas, cell) for cell in atlas.cells],
    }
    subtitle = (
        f"{len(atlas.samples.activations)} activations of {len(atlas.paths)} photographs, laid out "
        f"by {atlas.layout}. Scroll to zoom, drag to move, point at a cell for its details."
    )
    template = string.Template(
        resources.files("bnnjax.atlas").joinpath("page.html").read_text("utf-8")
    )
    return template.substitute(
        title=html.escape(f"Activation atlas of {atlas.network.name}, {atlas.tap}"),
        subtitle=html.escape(subtitle),
        data=json.dumps(data).replace("</", "<\\/"),  # no name may end the script
    )


def _cell(atlas: Atlas, cell: Cell) -> dict[str, Any]:
    """What the page knows of a cell; its photographs are those closest to the mean."""
    samples = atlas.samples
    nearness = cosines(samples.activations[cell.members], cell.direction[None])[:, 0]
    chosen = cell.members[np.argsort(-nearness, kind="stable")[:PHOTOGRAPHS]]
    paths = [atlas.paths[samples.pictures[member]] for member in chosen]
    squares = [images.square(images.load(path), size=atlas.config.image_size) for path in paths]
    thumbnails = [images.resize(s, height=THUMBNAIL, width=THUMBNAIL) for s in squares]
    return {
        "row": cell.row,
        "column": cell.column,
        "members": len(cell.members),
        "cosine": round(cell.cosine, 4),
        "classes": cell.classes,
        "seen": cell.seen,
        "names": [path.name for path in paths],
        "places": samples.places[chosen].round(4).tolist(),
        "photographs": _jpeg(np.concatenate(thumbnails, axis=1), quality=80),
    }


def _jpeg(picture: np.ndarray, *, quality: int) -> str:
    """A picture [H, W, 3] as the URL of a JPEG inside the page."""
    buffer = io.BytesIO()
    to_pillow(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
