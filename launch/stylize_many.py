"""Paints many pictures by several workers, on this machine or on a cluster of Ray.

    python launch/stylize_many.py --pictures=photos --style=wave.jpg --output_dir=out --workers=4
    python launch/stylize_many.py --pictures=manifest.csv --output_dir=/shared/out --address=auto

A manifest has the columns content, style and name; the last two are optional. The folder gets a
picture for each row, and results.csv. The same command again skips what is done and tries again
what failed.
"""

from absl import flags

from bnnjax import cli, many
from bnnjax.images import FORMATS
from bnnjax.many.results import DONE
from bnnjax.nst import sources
from bnnjax.nst.config import OPTIONS, PRESETS, StylizeConfig

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "pictures", None, "a table (.csv), a folder or a pattern of photographs", required=True
)
flags.DEFINE_multi_string("style", None, "paintings for photographs without one of their own")
flags.DEFINE_string("output_dir", "out", "directory for the pictures, which all workers see")
flags.DEFINE_enum("output_format", "png", list(FORMATS), "format of the pictures")
flags.DEFINE_string("model", None, "name or file of a network, or several; default: inknet")
flags.DEFINE_enum("preset", None, list(PRESETS), "a named set of options")
flags.DEFINE_integer("workers", 1, "number of processes that paint", lower_bound=1)
flags.DEFINE_integer("cpus", None, "CPU cores per worker; default: an equal share of this machine")
flags.DEFINE_float("gpus", 0, "GPUs per worker, 0.5 for two workers on each", lower_bound=0)
flags.DEFINE_float("tpus", 0, "TPU chips per worker", lower_bound=0)
flags.DEFINE_string("address", None, "a Ray cluster, or auto; default: this machine alone")
flags.DEFINE_integer("batch", 8, "pictures that a worker paints side by side", lower_bound=1)
cli.define_fields(StylizeConfig)
cli.define_json()
SAME = ("output_dir", "output_format", "model", "preset", "batch")


def main() -> int:
    workers = many.Workers(FLAGS.workers, FLAGS.cpus, FLAGS.gpus, FLAGS.tpus, FLAGS.address)
    options = {name: FLAGS[name].value for name in SAME} | cli.given(OPTIONS)
    options["imports"] = FLAGS["import"].value or ()
    styles = sources.listed(FLAGS.style) or ()
    rows = many.stylize_many(FLAGS.pictures, styles=styles, workers=workers, **options)
    done, problems = sum(row.status == DONE for row in rows), many.problems(rows)
    spent = cli.costs()
    print(f"{FLAGS.output_dir}: {done} of {len(rows)} pictures; {spent['total_seconds']} s")
    cli.print_problems(problems)
    cli.print_json({"done": done, "failed": len(rows) - done, **spent, "problems": problems})
    return 1 if problems else 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
