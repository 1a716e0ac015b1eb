"""Paints the frames of a film: the first as a picture, the others from their predecessors."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.film.flow import Motion, warped
from bnnjax.film.temporal import Before, Temporal
from bnnjax.nst.inputs import Picture, read_pictures
from bnnjax.nst.prepare import Prepared
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stages import Canvas, Stage, initial, stages, whole_stride
from bnnjax.nst.transfer import random_jitters

CUT = 0.25  # of the pixels; if fewer can be trusted, the frame begins another scene


@dataclasses.dataclass(frozen=True)
class Painter:
    """Paints frames of one size. All share one compiled step.

    Attributes:
      work: the stylization of the first frame, with the `Temporal` term.
      frame_steps: the number of steps of frames that have a predecessor.
    """

    work: Prepared
    frame_steps: int

    def begin(self, frame: np.ndarray) -> StylizeResult:
        """Paints the first frame of a scene, float32 [H, W, 3], like a photograph."""
        return dataclasses.replace(self.work, photographs=[self._placed(frame)]).run(progress=False)

    def follow(self, frame: np.ndarray, before: np.ndarray, painted: np.ndarray) -> StylizeResult:
        """Paints a frame.

        It starts from its painted predecessor, warped by the optical flow, at the full size at
        once: there, the strokes of coarser stages are painted already. Where the flow cannot be
        trusted, it starts as a first frame does, without remains of what was there.

        Args:
          frame: float32 [H, W, 3], sRGB in [0, 1].
          before: its predecessor.
          painted: the same, painted.
        """
        motion = Motion.between(before, frame)
        if motion.trusted.mean() < CUT:
            return self.begin(frame)
        photograph, mask = self._placed(frame), np.repeat(motion.trusted[..., None], 3, axis=2)
        moved = photograph.place(np.clip(warped(painted, motion.backward), 0, 1))
        tie = Before(jnp.asarray(moved), jnp.asarray(photograph.place(mask)[..., 0]))
        photograph = photograph._replace(start=self._start(photograph, tie))
        work = dataclasses.replace(self.work, photographs=[photograph])
        known = {Temporal.name: tie, **self._painting}
        return work.run(progress=False, plan=[self._stage], known=known)

    @cached_property
    def _stage(self) -> Stage:
        return stages(self.work.config)[-1]._replace(steps=self.frame_steps)

    @cached_property
    def _painting(self) -> Mapping[str, Any]:
        """The targets that all frames share, measured once; none if a frame has a part in them."""
        work, config = self.work, self.work.config
        if config.strength != 1 or config.colors != "painting":
            return {}
        canvas = Canvas(work.pairs, work.photographs, work.paintings, work.network.stride, config)
        jitters = random_jitters(jax.random.key(config.seed), reach=config.jitter)
        pictures = (picture.pixels for picture in canvas.pair(0))
        loss = work.objective.looking(self._stage.shrinks)
        data = loss.measure(work.network.variables, *pictures, jitters, canvas.shares(0), (), None)
        return {name: data["targets"][name] for name in ("style", "color")}

    def _start(self, photograph: Picture, tie: Before) -> Picture:
        config, style = self.work.config, self.work.paintings[0]
        anew = initial(photograph, style, config.of_picture(0), jax.random.key(config.seed))
        pixels = anew + tie.trusted[..., None] * (tie.picture - anew)
        return photograph._replace(pixels=np.asarray(pixels, np.float32))

    def _placed(self, frame: np.ndarray) -> Picture:
        stride = whole_stride(self.work.config, self.work.network.stride)
        size = self.work.config.size
        return read_pictures([frame], kind="frame", size=size, stride=stride)[0]
