"""How much of a picture is done, and how long the rest will take."""

from collections.abc import Sequence

from bnnjax.nst.stages import Stage


class Clock:
    """Estimates from the steps done. A step costs as much as the network sees pixels.

    Args:
      stages: those of the picture, from coarse to fine.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._costs = [_step(stage) * stage.steps for stage in stages]
        self._first: tuple[float, float] | None = None  # time and fraction of the first report
        self.fraction = 0.0
        self.seconds_left: float | None = None

    def report(self, side: int, steps: int, now: float) -> None:
        """Takes note of progress.

        Args:
          side: the shorter side of the picture, which tells the stage.
          steps: the number of steps done in this stage.
          now: the time in seconds, from any start.
        """
        number = min(
            range(len(self._stages)), key=lambda place: abs(self._stages[place].size - side)
        )
        done = sum(self._costs[:number]) + steps * _step(self._stages[number])
        self.fraction = min(done / sum(self._costs), 1.0)
        if self._first is None:
            self._first = now, self.fraction
        elsewhen, before = self._first
        if self.fraction > before:
            pace = (now - elsewhen) / (self.fraction - before)
            self.seconds_left = pace * (1 - self.fraction)


def _step(stage: Stage) -> float:
    """The cost of a step, relative to that of others."""
    return stage.size**2 * sum(1 / shrink**2 for shrink in stage.shrinks)
