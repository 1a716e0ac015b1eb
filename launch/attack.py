"""Changes pictures a little, until a network mistakes them, and checks how far to trust failure.

python launch/attack.py --images=val --labels=val/labels.csv --epsilon=1,2,4,8 [--model=quicknet]
python launch/attack.py --images=turtle.jpg --attack=style --style=wave.jpg --target=mailbox

Without labels, an attack succeeds where it changes the network's decision.
"""

from absl import flags

import bnnjax
from bnnjax import attack, cli
from bnnjax.attack.config import OPTIONS
from bnnjax.attack.inputs import pictures_of
from bnnjax.attack.report import checks_table, table
from bnnjax.models import evaluate
from bnnjax.port.program.preprocessing import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_list("images", None, "pictures, or one folder of them", required=True)
flags.DEFINE_string("labels", None, "CSV with the columns file and class_index")
flags.DEFINE_integer("limit", None, "only so many pictures, evenly spread over all", lower_bound=1)
flags.DEFINE_string("model", None, "name or file of a network; default: inknet")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of a .tflite/.h5 file; default: imagenet"
)
flags.DEFINE_string("classes", None, "text file with one class name per line")
flags.DEFINE_string("target", None, "class to lead the pictures to, by name or index")
flags.DEFINE_list("style", None, "paths of paintings, for --attack=style")
flags.DEFINE_string("transfer", None, "another network, to try the pictures on")
flags.DEFINE_string("output_dir", "attacked", "directory for pictures, table, curves and sheet")
flags.DEFINE_boolean("overwrite", False, "replace existing files")
flags.DEFINE_boolean("resume", False, "resume an interrupted run into output_dir")
cli.define_fields(attack.AttackConfig)
cli.define_json()
SAME = ("target", "transfer", "overwrite", "resume")


def main() -> int:
    network = bnnjax.load_model(FLAGS.model, preprocessing=FLAGS.preprocessing)
    names = evaluate.class_names(network, FLAGS.classes)
    source = (FLAGS.images, FLAGS.labels)
    pictures, labels = pictures_of(*source, num_classes=len(names), limit=FLAGS.limit)
    options = {name: FLAGS[name].value for name in SAME} | cli.given(OPTIONS)
    options |= {"labels": labels, "class_names": names, "styles": FLAGS.style}
    result, paths = attack.attack_into(FLAGS.output_dir, pictures, network, **options)
    cli.print_table(table(result))
    cli.print_table(checks_table(result))
    print(f"{len(paths)} files in {FLAGS.output_dir}; {cli.costs()['total_seconds']} s")
    cli.print_problems(result.problems)
    cli.print_json({**result.figures, **cli.costs()})
    return 1 if result.problems else 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
