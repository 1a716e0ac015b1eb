"""`search`: Optuna chooses the settings, batch by batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from bnnjax.studies import grid
from bnnjax.studies.bench import Bench, StudyOptions
from bnnjax.studies.front import score
from bnnjax.studies.study import Study
from bnnjax.studies.trials import Outcome, Setting, shown

STORAGE = "search.db"  # in the study's folder

Space = Mapping[str, grid.Items]


def search(
    contents: Any,
    styles: Any,
    *,
    vary: grid.Vary,
    settings: int,
    at_once: int = 8,
    **options: Unpack[StudyOptions],
) -> Study:
    """Searches for the settings with the lowest `score` of their mean measures.

    The sampler is Optuna's TPE. It proposes ``at_once`` settings at a time; those that differ in
    weights only share one compiled step. With a ``output_dir``, the search is stored there in
    ``search.db``, and ``resume`` continues it.

    Args:
      contents, styles, vary, **options: as in `sweep`, but a range is searched on a log scale.
      settings: how many settings to try in all.
      at_once: how many to try at a time.

    Raises:
      ValueError: as in `sweep`, or ``resume`` with a stored search of other ranges.
      ModuleNotFoundError: the extra ``sweep`` is not installed.
    """
    bench = Bench.open(contents, styles, options)
    space = {name: grid.items(name, values) for name, values in vary.items()}
    study, distributions = _study(bench), _distributions(space)
    proposed = [trial for trial in study.get_trials() if trial.state.name != "FAIL"]
    outcomes: list[Outcome] = []
    tried = 0
    while True:
        outcomes += _make(bench, [_setting(space, trial.params) for trial in proposed], outcomes)
        means = Study(outcomes, bench.photographs, bench.paintings).means if outcomes else {}
        for trial in proposed:
            value = score(means[_setting(space, trial.params)])
            failed = {} if value < float("inf") else {"state": _failed()}
            study.tell(trial.number, None if failed else value, skip_if_finished=True, **failed)
        tried += len(proposed)
        if tried >= settings:
            return Study(outcomes, bench.photographs, bench.paintings)
        proposed = [study.ask(distributions) for _ in range(min(at_once, settings - tried))]


def _make(bench: Bench, settings: list[Setting], outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes of those settings that have none yet."""
    known = {outcome.trial.setting for outcome in outcomes}
    new = [setting for setting in dict.fromkeys(settings) if setting not in known]
    trials = [
        trial
        for setting in new
        for trial in grid.trials(bench.pairs, bench.base, {n: [v] for n, v in setting})
    ]
    return bench.make(trials) if trials else []


def _distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    def distribution(found: grid.Items) -> Any:
        if len(found) == 1 and isinstance(found[0], grid.Range):
            return FloatDistribution(found[0].low, found[0].high, log=True)
        return CategoricalDistribution([shown(value) for value in grid.expand(found)])

    return {name: distribution(found) for name, found in space.items()}


def _setting(space: Space, params: Mapping[str, Any]) -> Setting:
    """The values that Optuna's parameters stand for."""

    def value(name: str) -> Any:
        if isinstance(params[name], float):
            return float(f"{params[name]:.4g}")  # as names of files show it
        return next(v for v in grid.expand(space[name]) if shown(v) == params[name])

    return tuple((name, value(name)) for name in space)


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


def _study(bench: Bench) -> Any:
    """Optuna's study: stored in the bench's folder if there is one."""
    try:
        import optuna
    except ImportError:
        message = "a search needs the extra 'sweep': pip install 'bnnjax[sweep]'"
        raise ModuleNotFoundError(message) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=bench.base.seed)
    if bench.options.output_dir is None:
        return optuna.create_study(sampler=sampler)
    path = Path(bench.options.output_dir) / STORAGE
    if path.exists() and not (bench.options.resume or bench.options.overwrite):
        raise ValueError(f"{path}: exists already; set resume, or choose another directory")
    if bench.options.overwrite:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=f"sqlite:///{path}", study_name="search", sampler=sampler, load_if_exists=True
    )
