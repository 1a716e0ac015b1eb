"""Small films, made here, with sound, irregular timing and rotation."""

from fractions import Fraction

import numpy as np
import pytest

from tests.nst.conftest import TOY


@pytest.fixture(scope="session")
def toy(with_random_weights):
    """The network of the tests of style transfer, with random weights."""
    return with_random_weights(TOY)


@pytest.fixture(scope="session")
def panned(make_picture):
    """A function number → that many frames [64, 96, 3], each 2 px further to the right."""
    picture = make_picture(3, 64, 160)
    return lambda number: [picture[:, 2 * n : 2 * n + 96] for n in range(number)]


@pytest.fixture(scope="session")
def write_film():
    """A function that writes frames, shown at these milliseconds, with noise as sound."""
    av = pytest.importorskip("av", reason="films need PyAV")
    millisecond = Fraction(1, 1000)

    def write(path, frames, *, times=None, sound="aac", lossless=False):
        with av.open(path, "w") as container:
            video = container.add_stream("ffv1" if lossless else "libx264", rate=25)
            video.height, video.width, video.pix_fmt = *frames[0].shape[:2], "yuv444p"
            video.options, video.codec_context.time_base = {"crf": "1"}, millisecond
            audio = container.add_stream(sound, rate=44100) if sound else None
            for number, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.rint(255 * pixels).astype(np.uint8))
                frame.pts, frame.time_base = (times or range(0, 10**6, 40))[number], millisecond
                container.mux(video.encode(frame.reformat(format="yuv444p")))
            container.mux(video.encode(None))
            if audio is not None:
                samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 1764 * len(frames)))
                noise = av.AudioFrame.from_ndarray(samples.astype(np.float32), "fltp", "mono")
                noise.sample_rate, noise.pts = 44100, 0
                into = {"format": audio.format, "layout": "mono", "rate": 44100}
                parts = av.AudioResampler(**into, frame_size=1024).resample(noise)
                for part in [*parts, None]:
                    container.mux(audio.encode(part))
        return path

    return write
