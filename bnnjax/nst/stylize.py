"""`stylize_batch`: photographs and paintings in, stylized pictures out."""

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax import optimize
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.nst import color
from bnnjax.nst.config import (
    OPTIONS,
    TRACED,
    StylizeConfig,
    StylizeOptions,
    Weight,
    resolve,
)
from bnnjax.nst.inputs import Pair, Picture, as_list, pair_up, read_pictures, unused
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.terms import Color, Content, Style, Term, TotalVariation
from bnnjax.nst.transfer import StyleTransfer, random_jitters
from bnnjax.options import nearest
from bnnjax.port.load import load_model

Preview = Callable[[int, list[str], list[np.ndarray]], None]

PARAMETRIZATIONS = {
    "pyramid": optimize.pyramid,
    "pixels": optimize.pixels,
    "fourier": optimize.fourier,
}


def stylize_batch(
    contents: Any,
    styles: Any,
    *,
    model: str | Path | Network | None = None,
    preprocessing: str | None = None,
    pairing: Literal["zip", "product"] = "zip",
    sweep: Mapping[str, Sequence[float]] | None = None,
    extra_terms: Mapping[Term, Weight] | None = None,
    config: StylizeConfig | None = None,
    preset: str | None = None,
    progress: bool = True,
    preview: Preview | None = None,
    snapshots: str | Path | None = None,
    **options: Unpack[StylizeOptions],
) -> StylizeResult:
    """Paints photographs in the manner of paintings, many at once.

    Args:
      contents: photographs: a path, PIL image or array (uint8, or float in [0, 1]; [H, W, 3]), a
        sequence of such, or an array [N, H, W, 3].
      styles: paintings, likewise.
      model: what `load_model` takes, or a `Network`; by default the one inside the package.
      preprocessing: what pictures a ``.tflite`` file takes, see `load_model`.
      pairing: "zip" (the first with the first; a single one goes with all) or "product".
      sweep: weights or learning rates to try side by side in one compiled call, by the name of the
        option: every pair is made with every combination.
      extra_terms: terms of the loss beside the usual ones, with their weights.
      config: all options; by default `StylizeConfig` with the network's own preset.
      preset: a bundle of options, "default" or "preview" (a picture in a second or two).
      progress: whether to show a progress bar with the time left.
      preview: called about once a second with the steps made, and the names and the best pictures so
        far [H, W, 3] of those under way.
      snapshots: a folder from which the same call goes on after it was killed.
      **options: any field of `StylizeConfig`; they take precedence over preset and config.

    Returns:
      The pictures and what was done. After Ctrl-C: the best pictures so far, ``interrupted`` set.

    Raises:
      ValueError: an unknown option, an unreadable picture, or numbers of pictures that do not fit.
    """
    resolve(options, config=config, preset=preset)  # tells what is wrong before anything is loaded
    contents, styles = as_list(contents, kind="content"), as_list(styles, kind="style")
    pairs = pair_up(contents, styles, pairing=pairing)
    network = _network(model, preprocessing)
    config = resolve(options, config=config, preset=preset, own=_own_preset(network))
    pairs, config = _swept(pairs, config, sweep or {})
    network = configured(network, config)
    objective = make_objective(network, config, extra=tuple(extra_terms or ()))
    stride = network.entry.stride
    photographs = read_pictures(contents, kind="content", size=config.size, stride=stride)
    style_size = config.style_size or config.size
    paintings = read_pictures(styles, kind="style", size=style_size, stride=stride)
    weights = _weights(objective, config, len(pairs), extra_terms or {})

    jitter_key, step_key, noise_key = jax.random.split(jax.random.key(config.seed), 3)
    jitters = random_jitters(jitter_key, reach=config.jitter)
    variables = _lay_out(network.architecture, network.variables)

    def data(number: int) -> Any:
        content, style = photographs[pairs[number].content], paintings[pairs[number].style]
        return objective.measure(network.variables, content.pixels, style.pixels, jitters)

    def show(update: optimize.Update) -> None:
        if preview is not None:
            chosen = [pairs[member] for member in update.members]
            images = zip(chosen, update.pictures, strict=True)
            cropped = [photographs[pair.content].crop(image) for pair, image in images]
            preview(update.steps, [pair.name for pair in chosen], cropped)

    minimized = optimize.minimize(
        objective,
        variables,
        [_first(photographs[p.content], paintings[p.style], config, noise_key) for p in pairs],
        data,
        weights,
        parametrization=PARAMETRIZATIONS[config.parametrization](),
        optimizer=config.optimizer,
        learning_rate=weights["learning_rate"],
        steps=config.steps,
        key=step_key,
        progress=progress,
        watch=None if preview is None else show,
        snapshots=snapshots,
    )
    return StylizeResult(pairs, photographs, paintings, network, config, minimized)


@partial(jax.jit, static_argnums=0)  # of a function, since every bound method is compiled anew
def _lay_out(architecture: Architecture, variables: Variables) -> Variables:
    return architecture.lay_out(variables)


def _network(model: str | Path | Network | None, preprocessing: str | None) -> Network:
    if not isinstance(model, Network):
        return load_model(model, preprocessing=preprocessing)
    if preprocessing is not None:
        raise ValueError("a loaded network has its preprocessing; give it to load_model")
    return model


def _own_preset(network: Network) -> Mapping[str, Any]:
    return {"inknet": {"content_weight": 0.9}}.get(network.entry.name, {})


def configured(network: Network, config: StylizeConfig) -> Network:
    """The network computing as the config says."""
    pseudo_gradient = config.pseudo_gradient or network.architecture.options.pseudo_gradient
    clip = None if np.isinf(config.clip) else config.clip
    return network.with_options(pooling=config.pooling, pseudo_gradient=pseudo_gradient, clip=clip)


def make_objective(
    network: Network, config: StylizeConfig, *, extra: tuple[Term, ...] = ()
) -> StyleTransfer:
    """What is minimised; at the network's own taps where the config names none.

    Raises:
      ValueError: a tap that the network does not have (the nearest is suggested), or two terms of
        one name.
    """
    own = network.entry
    style = own.style_taps if config.style_taps is None else config.style_taps
    content = own.content_taps if config.content_taps is None else config.content_taps
    terms: tuple[Term, ...] = (
        Content(tuple(content)),
        Style(tuple(style), config.statistics),
        TotalVariation(kind=config.tv),
        Color(),
        *extra,
    )
    for tap in itertools.chain.from_iterable(term.taps for term in terms):
        if tap not in own.taps:
            raise ValueError(f"{own.name} has no tap {tap!r}{nearest(tap, own.taps)}")
    names = [term.name for term in terms]
    if len({*names}) < len(names):
        raise ValueError(f"terms are called {', '.join(names)}, need names that differ")
    return StyleTransfer(network.architecture, terms)


def _weights(
    objective: StyleTransfer,
    config: StylizeConfig,
    pictures: int,
    extra: Mapping[Term, Weight],
) -> dict[str, np.ndarray]:
    """Every weight, and the learning rate, with an entry per picture."""
    taps = next(len(term.taps) for term in objective.terms if term.name == "style")
    found = config.weights(pictures, taps=taps)
    for term, weight in extra.items():
        name = f"{term.name}_weight"
        value = np.asarray(weight, np.float32)
        if value.shape not in {(), (pictures,)}:
            raise ValueError(f"{name} has shape {value.shape}, needs () or ({pictures},)")
        found[name] = np.broadcast_to(value, (pictures,))
    return found


def _swept(
    pairs: Sequence[Pair], config: StylizeConfig, sweep: Mapping[str, Sequence[float]]
) -> tuple[list[Pair], StylizeConfig]:
    """Every pair with every combination of settings, and the config that gives each its own."""
    for name in sweep:
        if name not in TRACED or name == "style_tap_weights":
            able = [option for option in TRACED if option != "style_tap_weights"]
            raise ValueError(f"no sweep over {name!r}{nearest(name, able)}")
    if not sweep:
        return list(pairs), config
    settings = list(itertools.product(*(_tried(*item, config) for item in sweep.items())))
    labels = [",".join(f"{n}={v:g}" for n, v in zip(sweep, s, strict=True)) for s in settings]
    swept, taken = [], set()
    for pair, label in itertools.product(pairs, labels):
        name = unused(f"{pair.name}__{label}", lambda name: name not in taken)
        taken.add(name)
        swept.append(pair._replace(name=name, setting=label))
    per_picture: dict[str, Any] = {}
    for name in TRACED:
        value, depth = getattr(config, name), name == "style_tap_weights"
        if np.ndim(value) > depth:  # one per pair
            per_picture[name] = np.repeat(np.asarray(value), len(settings), axis=0)
    for place, name in enumerate(sweep):
        per_picture[name] = [setting[place] for setting in settings] * len(pairs)
    return swept, config.changed(**per_picture)


def _tried(name: str, values: Any, config: StylizeConfig) -> tuple[float, ...]:
    """The values of an option in a sweep."""
    found = getattr(config.changed(**{name: values}), name)
    if np.ndim(found) != 1 or not found:
        raise ValueError(f"the sweep over {name} is {values!r}, needs a sequence of numbers")
    return found


def _first(content: Picture, style: Picture, config: StylizeConfig, key: Array) -> np.ndarray:
    """The picture that the optimisation starts from, on the photograph's canvas."""
    if config.init == "content":
        return content.pixels
    if config.init == "matched":
        return np.asarray(color.match(content.pixels, style.pixels))
    return np.asarray(jax.random.uniform(key, content.pixels.shape, jnp.float32))


def _signature() -> inspect.Signature:
    """With every option by name, so that notebooks complete them and ``help`` shows them."""
    plain = inspect.signature(stylize_batch)
    *own, _ = plain.parameters.values()
    hints, fields = StylizeOptions.__annotations__, StylizeConfig.__dataclass_fields__
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=fields[name].default,
            annotation=hints[name],
        )
        for name in OPTIONS
    ]
    return plain.replace(parameters=[*own, *options])


stylize_batch.__signature__ = _signature()  # type: ignore[attr-defined]
