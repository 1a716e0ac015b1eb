"""Makes an activation atlas: what a network sees in a folder of photographs.

python launch/atlas.py --images=PHOTOS --grid=20 [--model=quicknet] [--tap=section3]
"""

from absl import flags

from bnnjax import cli
from bnnjax.atlas import AtlasConfig
from bnnjax.atlas.files import atlas_into
from bnnjax.port.program.preprocessing import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_string("images", None, "folder of photographs, searched recursively", required=True)
flags.DEFINE_string("output_dir", "atlas", "directory for atlas.png, atlas.html and atlas.json")
flags.DEFINE_string("model", None, "name or file of a network; default: inknet")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of a .tflite/.h5 file; default: imagenet"
)
flags.DEFINE_boolean("overwrite", False, "replace an existing atlas")
flags.DEFINE_boolean(
    "resume", False, "resume an interrupted run, or make another atlas of its activations"
)
cli.define_fields(AtlasConfig)
cli.define_json()
SAME = ("model", "preprocessing", "overwrite", "resume")


def main() -> int:
    options = {name: FLAGS[name].value for name in SAME}
    options |= cli.given(AtlasConfig.__dataclass_fields__)
    atlas, paths = atlas_into(FLAGS.output_dir, FLAGS.images, **options)
    figures, costs, files = atlas.figures(), cli.costs(), [str(path) for path in paths]
    cosine = figures["cosine"]
    print(
        f"{figures['cells']} cells of {figures['activations']} activations at {atlas.tap} of "
        f"{atlas.network.name}; cosine of pictures and directions: median {cosine['median']}, "
        f"from {cosine['least']} to {cosine['most']} (to other cells {figures['to_others']})"
    )
    print(f"{', '.join(files)}; {costs['total_seconds']} s, {costs['peak_memory_mib']} MiB")
    stopped = ["interrupted; continue with --resume"] if atlas.interrupted else []
    problems = [*atlas.problems, *stopped]
    cli.print_problems(problems)
    cli.print_json({**figures, **costs, "files": files, "problems": problems})
    return 1 if problems else 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
