"""Accuracy of a network on labelled pictures, or what it sees in a single one.

python launch/evaluate.py --weights=quicknet --images=val --labels=val/labels.csv
python launch/evaluate.py --weights=quicknet.tflite --image=boat.jpg --topk=5
"""

from pathlib import Path

from absl import flags
from tqdm import tqdm

from bnnjax import cli, load_model
from bnnjax.models import evaluate
from bnnjax.port.graph_network import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "weights", None, "checkpoint, .tflite file or name of a network; by default the one that ships"
)
flags.DEFINE_enum("preprocessing", None, list(PREPROCESSINGS), "of a .tflite file; imagenet")
flags.DEFINE_string("images", None, "directory of pictures")
flags.DEFINE_string("labels", None, "CSV with the columns file and class_index")
flags.DEFINE_string("image", None, "a single picture, whose likeliest classes are printed")
flags.DEFINE_integer("topk", 5, "how many classes to print", lower_bound=1)
flags.DEFINE_enum("resize", "pillow", evaluate.RESIZES, "resize to 224 px: Pillow's or the zoo's")
cli.define_json()


def main() -> int:
    if not FLAGS.image and not (FLAGS.images and FLAGS.labels):
        raise ValueError("give --images and --labels, or --image")
    network = load_model(FLAGS.weights, preprocessing=FLAGS.preprocessing)
    logits_of = evaluate.guesser(network, resize=FLAGS.resize)
    figures: dict = {}
    if FLAGS.image:
        guesses = evaluate.top_guesses(logits_of(Path(FLAGS.image)), count=FLAGS.topk)
        for name, probability in guesses:
            print(f"{100 * probability:5.1f} %  {name}")
        figures["guesses"] = guesses
    if FLAGS.images:
        classes = network.architecture.num_classes
        labelled = evaluate.read_labels(FLAGS.images, FLAGS.labels, classes=classes)
        found = evaluate.accuracy(logits_of, tqdm(labelled, unit="picture"))
        print(f"top-1 {found.top1:.1f} %, top-5 {found.top5:.1f} % of {found.n} pictures")
        figures |= found._asdict()
    cli.print_json(figures)
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
