"""Evaluates a network on labelled pictures, or prints its predictions for a single one.

python launch/evaluate.py --model=quicknet --images=val --labels=val/labels.csv
python launch/evaluate.py --model=quicknet.tflite --image=boat.jpg --topk=5
"""

from pathlib import Path

from absl import flags
from tqdm import tqdm

from bnnjax import cli, load_model
from bnnjax.models import evaluate
from bnnjax.port.program.preprocessing import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name or file of a network; default: inknet")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of a .tflite/.h5 file; default: imagenet"
)
flags.DEFINE_string("images", None, "directory of pictures")
flags.DEFINE_string("labels", None, "CSV with the columns file and class_index")
flags.DEFINE_string("image", None, "a single picture, whose likeliest classes are printed")
flags.DEFINE_string("classes", None, "text file with one class name per line")
flags.DEFINE_integer("topk", 5, "number of classes to print", lower_bound=1)
flags.DEFINE_enum(
    "resize", "pillow", evaluate.RESIZES, "resizing to 224 px: Pillow's, or that of Larq Zoo"
)
cli.define_json()


def main() -> int:
    if not FLAGS.image and not (FLAGS.images and FLAGS.labels):
        raise ValueError("give --images and --labels, or --image")
    network = load_model(FLAGS.model, preprocessing=FLAGS.preprocessing)
    logits_of = evaluate.guesser(network, resize=FLAGS.resize)
    names = evaluate.class_names(network, FLAGS.classes)
    figures: dict = {}
    if FLAGS.image:
        guesses = evaluate.top_guesses(logits_of(Path(FLAGS.image)), names, count=FLAGS.topk)
        for name, probability in guesses:
            print(f"{100 * probability:5.1f} %  {name}")
        figures["guesses"] = guesses
    if FLAGS.images:
        labelled = evaluate.read_labels(FLAGS.images, FLAGS.labels, num_classes=len(names))
        found = evaluate.accuracy(logits_of, tqdm(labelled, unit="picture"))
        print(f"top-1 {found.top1:.1f} %, top-5 {found.top5:.1f} % of {found.n} pictures")
        figures |= found._asdict()
    cli.print_json(figures)
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
