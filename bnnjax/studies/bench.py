"""The bench that every study works at: pictures, a network, a judge and a folder."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from tqdm.auto import tqdm

from bnnjax import judge
from bnnjax.models.network import Network
from bnnjax.nst.config import OPTIONS, StylizeConfig, StylizeOptions, resolve
from bnnjax.nst.ensemble import Ensemble, Model, load_models
from bnnjax.nst.files import picture_paths
from bnnjax.nst.inputs import Pair, Picture, as_list, pair_up, read_pictures
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stylize import stylize_batch
from bnnjax.options import nearest, option
from bnnjax.studies.trials import (
    Outcome,
    Trial,
    batches,
    best_losses,
    costs,
    merged,
    of_pixels,
)


@dataclasses.dataclass(frozen=True)
class BenchConfig:
    """What a study does besides stylizing; the launch scripts' ``--help`` describes each option."""

    model: Any = option(None, "name or file of a network, or of several; default: inknet")
    preprocessing: str | None = option(None, "pictures of a .tflite/.h5 file; default: imagenet")
    pairing: Literal["zip", "product"] = option("zip", "how photographs and paintings are paired")
    judge: Any = option(None, "VGG-19's weights (.npz), an independent judge; default: the losses")
    output_dir: str | Path | None = option(None, "folder for the pictures; default: none")
    batch: int = option(32, "most pictures per call; a killed study repeats at most these")
    overwrite: bool = option(False, "replace existing pictures")
    resume: bool = option(False, "keep existing pictures and make those that are missing")
    progress: bool = option(True, "show a progress bar with the time left")


BENCH = tuple(field.name for field in dataclasses.fields(BenchConfig))


class StudyOptions(StylizeOptions, total=False):
    """The fields of `BenchConfig` and `StylizeConfig` as keyword arguments, and their presets."""

    model: Model
    preprocessing: str | None
    pairing: Literal["zip", "product"]
    judge: str | Path | judge.Features | None
    output_dir: str | Path | None
    batch: int
    overwrite: bool
    resume: bool
    progress: bool
    config: StylizeConfig | None
    preset: str | None


@dataclasses.dataclass(frozen=True, eq=False)
class Bench:
    """The pictures, the network and the options of a study.

    Attributes:
      contents, styles: the sources of photographs and paintings.
      network: the network or the networks, loaded.
      pairs: which photograph goes with which painting.
      base: the options that all trials share unless they vary.
      options: the rest.
    """

    contents: Sequence[Any]
    styles: Sequence[Any]
    network: Network | Ensemble
    pairs: Sequence[Pair]
    base: StylizeConfig
    options: BenchConfig

    @classmethod
    def open(cls, contents: Any, styles: Any, options: StudyOptions, **defaults: Any) -> "Bench":
        """Checks the options and loads the network.

        Args:
          contents, styles: as in `stylize_batch`.
          options: the caller's, which take precedence over ``defaults`` of the study.

        Raises:
          ValueError: an unknown option (the nearest is suggested), or an invalid value.
        """
        own = set(BENCH)
        given = cast(dict[str, Any], {**options})
        config, preset = given.pop("config", None), given.pop("preset", None)
        for name in given:
            if name not in own and name not in OPTIONS:
                raise ValueError(f"no option {name!r}{nearest(name, [*own, *OPTIONS])}")
        bench = BenchConfig(**{name: given.pop(name) for name in own & given.keys()})
        resolve(given, config=config, preset=preset)  # before the network is loaded
        contents, styles = as_list(contents, kind="content"), as_list(styles, kind="style")
        pairs = pair_up(contents, styles, pairing=bench.pairing)
        network = load_models(bench.model, preprocessing=bench.preprocessing)
        preset_of_network = {**network.style.preset, **defaults}
        base = resolve(given, config=config, preset=preset, own=preset_of_network)
        return cls(contents, styles, network, pairs, base, bench)

    @cached_property
    def photographs(self) -> list[Picture]:
        """The photographs at the size of the results."""
        return self._read(self.contents, "content")

    @cached_property
    def paintings(self) -> list[Picture]:
        """The paintings at the scale of the results, at which they are judged."""
        return self._read(self.styles, "style")

    @cached_property
    def features(self) -> judge.Features | None:
        """The judge."""
        given = self.options.judge
        return judge.vgg_features(given) if isinstance(given, str | Path) else given

    def make(self, trials: Sequence[Trial]) -> list[Outcome]:
        """Makes the pictures of all trials, in their order, and writes each batch as it is done.

        Trials whose options differ in weights only share one compiled step.

        Raises:
          ValueError: pictures exist already (unless ``overwrite`` or ``resume``), or were made
            from other pictures or with other options; or see `stylize_batch`.
          KeyboardInterrupt: Ctrl-C; finished pictures have been written.
        """
        made = self._kept(trials)
        missing = [trial for trial in trials if trial.name not in made]
        total = sum(trial.config.steps for trial in missing)
        with tqdm(total=total, unit="step", disable=not self.options.progress) as bar:
            for batch in batches(missing, self.options.batch):
                made |= {outcome.trial.name: outcome for outcome in self._run(batch, bar)}
        return [made[trial.name] for trial in trials]

    def _run(self, batch: Sequence[Trial], bar: Any) -> list[Outcome]:
        done: Counter[str] = Counter()

        def show(steps: int, names: list[str], _: list[np.ndarray]) -> None:
            for name in names:
                bar.update(steps - done[name])
                done[name] = steps

        result = stylize_batch(
            [self.contents[trial.pair.content] for trial in batch],
            [self.styles[trial.pair.style] for trial in batch],
            model=self.network,
            config=merged([trial.config for trial in batch]),
            progress=False,
            preview=show,
        )
        outcomes = [
            self._outcome(trial, result, number)
            for number, trial in enumerate(batch)
            if self._finished(result, number, trial)
        ]
        if result.interrupted:
            raise KeyboardInterrupt
        return self._judged(outcomes)

    def _finished(self, result: StylizeResult, number: int, trial: Trial) -> bool:
        steps = len(result.losses[number].get("total", ()))
        return steps == trial.config.steps or number in result.minimized.diverged

    def _outcome(self, trial: Trial, result: StylizeResult, number: int) -> Outcome:
        """The outcome of one picture of a batch; written before it is judged, which takes time."""
        picture = np.rint(255 * result.images[number]).astype(np.float32) / 255  # as in its file
        painting = self.paintings[trial.pair.style].cropped
        outcome = Outcome(
            trial,
            picture,
            result.recipe(number),
            best_losses(result.losses[number]),
            {},
            of_pixels(picture, painting),
            costs(result),
            result.minimized.diverged.get(number),
        )
        return self._written(outcome)

    def _judged(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes with the judge's measures, if there is a judge."""
        if self.features is None or all(outcome.judged for outcome in outcomes):
            return [*outcomes]
        hidden = not self.options.progress
        bar = tqdm(outcomes, desc="judging", unit="picture", leave=False, disable=hidden)
        return [o if o.judged else self._judge(o, self.features) for o in bar]

    def _judge(self, outcome: Outcome, features: judge.Features) -> Outcome:
        pair = outcome.trial.pair
        photograph, painting = self.photographs[pair.content], self.paintings[pair.style]
        originals = (photograph.cropped, painting.cropped)
        measures = judge.judge(outcome.picture, *originals, features=features)
        return self._written(outcome._replace(judged=measures))

    def _written(self, outcome: Outcome) -> Outcome:
        if self.options.output_dir is not None:
            outcome.write(Path(self.options.output_dir))
        return outcome

    def _kept(self, trials: Sequence[Trial]) -> dict[str, Outcome]:
        """The outcomes that the folder has already."""
        if self.options.output_dir is None:
            return {}
        replace = self.options.overwrite or self.options.resume
        names = [trial.name for trial in trials]
        paths = picture_paths(names, self.options.output_dir, overwrite=replace)
        if not self.options.resume:
            return {}
        found = zip(trials, paths, strict=True)
        kept = [self._checked(trial, path) for trial, path in found if path.exists()]
        return {outcome.trial.name: outcome for outcome in self._judged(kept)}

    def _checked(self, trial: Trial, path: Path) -> Outcome:
        """The outcome in a file, which must be that of this trial."""
        outcome = Outcome.read(trial, path)
        recipe = outcome.recipe
        photograph = self.photographs[trial.pair.content]
        painting = self.paintings[trial.pair.style]
        asked = (photograph.sha256, painting.sha256, trial.config, {**self.network.provenance})
        kept = (recipe.content.sha256, recipe.style.sha256, recipe.config, {**recipe.provenance})
        if asked != kept:
            raise ValueError(
                f"{path} was made from other pictures, by another network or with other options; "
                "choose another directory, or set overwrite"
            )
        return outcome

    def _read(self, sources: Sequence[Any], kind: str) -> list[Picture]:
        stride = self.network.stride
        return read_pictures(sources, kind=kind, size=self.base.size, stride=stride)
