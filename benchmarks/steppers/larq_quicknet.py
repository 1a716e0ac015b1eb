"""Steps of style transfer through QuickNet with Larq on TensorFlow; for `nst_step.py`.

It runs in the environment of tests/reference/make_environment.sh, reads lines ``BATCH SIZE COMPILE
STEPS`` and answers each with the median milliseconds per step. COMPILE is 1 for XLA, otherwise 0.
"""

import statistics
import sys
import time

import larq_zoo as lqz
import tensorflow as tf

STYLE = [2, 6, 10, 14]  # residual blocks, counted from 1: the second of each section of four
CONTENT = 11


def make_taps(size: int) -> tf.keras.Model:
    model = lqz.sota.QuickNet(weights=None, include_top=False, input_shape=(size, size, 3))
    sums = [layer.output for layer in model.layers if "add" in layer.name.lower()]
    assert len(sums) == 16, len(sums)
    return tf.keras.Model(model.input, [sums[i - 1] for i in (*STYLE, CONTENT)])


def gram(features: tf.Tensor) -> tf.Tensor:
    batch, _, _, channels = features.shape
    flat = tf.reshape(features, (batch, -1, channels))
    return tf.matmul(flat, flat, transpose_a=True) / flat.shape[1]


def relative(found: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    axes = list(range(1, len(found.shape)))
    distance = tf.reduce_sum((found - target) ** 2, axes) / tf.reduce_sum(target**2, axes)
    return tf.reduce_sum(distance)  # over pictures, because each has its own loss


def variation(pictures: tf.Tensor) -> tf.Tensor:
    down, right = pictures[:, 1:] - pictures[:, :-1], pictures[:, :, 1:] - pictures[:, :, :-1]
    return tf.reduce_sum(tf.reduce_mean(down**2, (1, 2, 3)) + tf.reduce_mean(right**2, (1, 2, 3)))


def make_step(batch: int, size: int, compiled: bool):
    taps = make_taps(size)
    mean, deviation = tf.constant([0.485, 0.456, 0.406]), tf.constant([0.229, 0.224, 0.225])
    random = tf.random.Generator.from_seed(0)
    pictures = tf.Variable(random.uniform((batch, size, size, 3)))
    optimizer = tf.keras.optimizers.Adam(0.02, beta_2=0.99, jit_compile=False)
    optimizer.build([pictures])
    look = lambda x: taps((x - mean) / deviation, training=False)  # noqa: E731
    *styles, content = look(random.uniform((batch, size, size, 3)))
    style_targets = [gram(style) for style in styles]

    @tf.function(jit_compile=compiled)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            *found, found_content = look(pictures)
            style = sum(relative(gram(f), t) for f, t in zip(found, style_targets, strict=True))
            loss = 6 * style / 4 + 0.3 * relative(found_content, content) + variation(pictures)
        optimizer.apply_gradients([(tape.gradient(loss, pictures), pictures)])
        pictures.assign(tf.clip_by_value(pictures, 0, 1))
        return loss

    return step


def main() -> None:
    steps = {}
    print("ready", flush=True)
    for line in sys.stdin:
        *key, count = map(int, line.split())
        if tuple(key) not in steps:
            steps[tuple(key)] = make_step(key[0], key[1], bool(key[2]))
            float(steps[tuple(key)]())  # traces and compiles
        spent = []
        for _ in range(count):
            began = time.perf_counter()
            float(steps[tuple(key)]())
            spent.append(1e3 * (time.perf_counter() - began))
        print(statistics.median(spent), flush=True)


if __name__ == "__main__":
    main()
