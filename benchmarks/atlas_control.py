"""How much of an atlas is the cells' directions, and how much any direction at all.

    python benchmarks/atlas_control.py --images=PHOTOS [--model=quicknet] [--activations=DIR]

Inverts the directions of some cells of an atlas, and as many random ones, with the same options,
and prints the cosines of the pictures' own mean activations to directions.
"""

import numpy as np
from absl import flags

from bnnjax import cli, load_model
from bnnjax.atlas import AtlasConfig, layout
from bnnjax.atlas.directions import cosines, occupied, whitening
from bnnjax.atlas.invert import configured, invert, responses
from bnnjax.atlas.objective import POWER
from bnnjax.atlas.samples import collect, pictures_in

FLAGS = flags.FLAGS
flags.DEFINE_string("images", None, "folder of photographs", required=True)
flags.DEFINE_string("model", None, "name or file of a network; default: inknet")
flags.DEFINE_string("activations", None, "folder of activations that an atlas left, .activations")
flags.DEFINE_integer("count", 16, "number of directions of each kind")
cli.define_fields(AtlasConfig)
cli.define_json()


def main() -> int:
    config = AtlasConfig(**cli.given(AtlasConfig.__dataclass_fields__))
    network, paths = load_model(FLAGS.model), pictures_in(FLAGS.images)
    tap = config.tap or network.entry.style.content_taps[-1]
    samples, _ = collect(network, paths, tap=tap, config=config, folder=FLAGS.activations)
    cells = _cells(samples.activations, config)
    rng = np.random.default_rng(config.seed)
    random = rng.normal(size=cells.shape).astype(np.float32)
    whiten = whitening(samples.activations, ridge=config.ridge)
    network = configured(network, config)
    rows = {}
    for name, directions in (("cells", cells), ("random", random)):
        # Random directions are reached for as they are: whitened, they would be others.
        aims = cells @ whiten if name == "cells" else directions
        made = invert(network, aims, tap=tap, power=POWER, config=config)
        own = responses(network, made.pictures, tap=tap)
        rows[name] = np.diag(cosines(own, directions))
        if name == "cells":
            rows["cells, to the other cells"] = _off_diagonal(cosines(own, cells))
            rows["cells, to random directions"] = cosines(own, random).ravel()
    table = [["pictures of", "quartile", "median", "upper quartile"]]
    for name, values in rows.items():
        table.append([name, *(f"{v:.3f}" for v in np.percentile(values, [25, 50, 75]))])
    cli.print_table(table)
    cli.print_json({name: float(np.median(values)) for name, values in rows.items()})
    return 0


def _cells(activations: np.ndarray, config: AtlasConfig) -> np.ndarray:
    """The directions of evenly spaced cells."""
    points = layout.project(activations, method=config.layout, seed=config.seed)
    groups = occupied(layout.assign_cells(points, grid=config.grid), least=config.least)
    count = min(FLAGS.count, len(groups))
    chosen = np.linspace(0, len(groups) - 1, count).round().astype(int)
    return np.stack([activations[groups[n].indices].mean(axis=0) for n in chosen])


def _off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix[~np.eye(len(matrix), dtype=bool)]


if __name__ == "__main__":
    cli.run(main)
