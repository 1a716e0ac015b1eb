"""Each term against NumPy, its gradient against finite differences, and custom terms.

The "network" of these tests is a function of the picture that NumPy computes as well.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bnnjax
from bnnjax.nst.terms import Color, Content, Scene, Seen, Style, Term, TotalVariation
from bnnjax.nst.terms import total_variation as tv

JITTERS = np.array([[0, 0], [3, -1], [-2, 5]])
CONTENT, COLOR = Content(("coarse", "squares")), Color()
STYLES = {kind: Style(("coarse", "squares"), kind) for kind in ("moments", "gram")}
TAP_WEIGHTS = np.float32([1, 4])


def look(picture, np=jnp):
    """Two taps, one at a stride, [h, w, 3] each."""
    return {"coarse": 2 * picture[::2, ::2] - 0.7, "squares": np.square(picture - 0.3)}


def picture_of(seed, height=6, width=7):
    return np.random.default_rng(seed).uniform(0, 1, (height, width, 3)).astype(np.float32)


PHOTOGRAPH, PAINTING, PICTURE = picture_of(0), picture_of(1, 5, 8), picture_of(2)


def scene_of(photograph, painting, *, scale=1.0):
    def scaled(picture):
        return {name: scale * tap for name, tap in look(picture).items()}

    return Scene(jnp.asarray(photograph), jnp.asarray(painting), jnp.asarray(JITTERS), scaled)


def weights_of_taps(term, *, strength=1.0):
    """The painting's taps have `TAP_WEIGHTS`; the photograph's are equal."""
    equal = jnp.ones(len(term.taps), jnp.float32)
    tap_weights = {"style_tap_weights": jnp.asarray(TAP_WEIGHTS), "content_tap_weights": equal}
    return {**tap_weights, "strength": jnp.asarray(strength)}


def loss_of(term, picture, scene, *, jitter=0, strength=1.0):
    """The value of the term for a picture, as a step computes it."""
    rolled = jnp.roll(picture, scene.jitters[jitter], (0, 1))
    seen = Seen(picture, scene.look(rolled), jnp.asarray(jitter))
    return term.loss(seen, term.target(scene), weights_of_taps(term, strength=strength))


SCENE = scene_of(PHOTOGRAPH, PAINTING)


def relative(found, target):
    return ((found - target) ** 2).sum() / (target**2).sum()


def unsquared(found, target):
    """The relative distance, quadratic below 0.01."""
    return np.hypot(np.sqrt(relative(found, target)), 0.01) - 0.01


def numpy_statistics(x, kind):
    """(second, mean); the Gram matrix contains the mean."""
    flat = x.reshape(-1, x.shape[2]).astype(np.float64)
    if kind == "gram":
        return (np.einsum("pi,pj->ij", flat, flat) / len(flat),)
    return np.cov(flat, rowvar=False, bias=True), flat.mean(0)


# --- values --------------------------------------------------------------------------------


@pytest.mark.parametrize("jitter", range(len(JITTERS)))
def test_content_agrees_with_numpy_at_each_jitter(jitter):
    found, target = (
        look(np.roll(p, JITTERS[jitter], (0, 1)), np=np) for p in (PICTURE, PHOTOGRAPH)
    )
    expected = np.mean([relative(found[tap], target[tap]) for tap in CONTENT.taps])
    np.testing.assert_allclose(loss_of(CONTENT, PICTURE, SCENE, jitter=jitter), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STYLES)
def test_style_agrees_with_numpy(kind):
    found, target = look(PICTURE, np=np), look(PAINTING, np=np)
    size = relative if kind == "gram" else unsquared
    each = [
        np.mean([*map(size, *(numpy_statistics(x[tap], kind) for x in (found, target)))])
        for tap in STYLES[kind].taps
    ]
    expected = np.average(each, weights=TAP_WEIGHTS)
    np.testing.assert_allclose(loss_of(STYLES[kind], PICTURE, SCENE), expected, rtol=1e-4)


@pytest.mark.parametrize(("kind", "size"), [("squared", np.square), ("absolute", np.abs)])
def test_total_variation_agrees_with_numpy(kind, size):
    expected = size(np.diff(PICTURE, axis=0)).mean() + size(np.diff(PICTURE, axis=1)).mean()
    found = loss_of(TotalVariation(kind=kind), PICTURE, SCENE)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_total_variation_of_a_ramp_is_its_slope():
    ramp = np.broadcast_to(0.1 * np.arange(8)[:, None, None], (8, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(tv(ramp, "absolute"), 0.1, rtol=1e-5)
    np.testing.assert_allclose(tv(ramp, "squared"), 0.01, rtol=1e-5)


def test_color_agrees_with_numpy():
    found, target = (numpy_statistics(p, "moments") for p in (PICTURE, PAINTING))
    covariances, means = (((a - b) ** 2).sum() for a, b in zip(found, target, strict=True))
    np.testing.assert_allclose(loss_of(COLOR, PICTURE, SCENE), means + 10 * covariances, rtol=1e-4)


def test_the_target_itself_costs_nothing():
    for jitter in range(len(JITTERS)):
        assert loss_of(CONTENT, PHOTOGRAPH, SCENE, jitter=jitter) == 0
    own = scene_of(PHOTOGRAPH, PHOTOGRAPH)
    for term in (*STYLES.values(), COLOR):
        assert loss_of(term, PHOTOGRAPH, own) < 1e-12
    flat = np.full((4, 5, 3), 0.3, np.float32)
    assert tv(flat, "squared") == tv(flat, "absolute") == 0


@pytest.mark.parametrize("term", [*STYLES.values(), TotalVariation(), COLOR], ids=repr)
def test_at_strength_zero_the_photograph_costs_nothing(term):
    assert loss_of(term, PHOTOGRAPH, SCENE, strength=0.0) == 0
    assert loss_of(term, PHOTOGRAPH, SCENE, strength=0.5) > 0


@pytest.mark.parametrize("strength", [0.3, 1.5])
def test_strength_leads_part_of_the_way_from_photograph_to_painting(strength):
    own, painting = (numpy_statistics(p, "moments") for p in (PHOTOGRAPH, PAINTING))
    found = numpy_statistics(PICTURE, "moments")
    goals = [(1 - strength) * a + strength * b for a, b in zip(own, painting, strict=True)]
    covariances, means = (((a - b) ** 2).sum() for a, b in zip(found, goals, strict=True))
    value = loss_of(COLOR, PICTURE, SCENE, strength=strength)
    np.testing.assert_allclose(value, means + 10 * covariances, rtol=1e-4)


def test_content_at_another_jitter_is_other_content():
    """The features of a strided layer depend on its offset, so each jitter has its own target."""
    seen = Seen(PHOTOGRAPH, look(np.roll(PHOTOGRAPH, JITTERS[1], (0, 1))), jnp.asarray(0))
    assert CONTENT.loss(seen, CONTENT.target(SCENE), weights_of_taps(CONTENT)) > 0.01


@pytest.mark.parametrize("term", [Content(), Style(), Style(kind="gram")], ids=repr)
def test_a_term_without_taps_is_zero(term):
    assert loss_of(term, PICTURE, SCENE) == 0


# --- invariances ---------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-8, -1, 1, 8])
def test_the_amplitude_of_the_taps_does_not_matter(exponent):
    """They are equal bit by bit, because powers of 2 do not change mantissas."""
    scaled = scene_of(PHOTOGRAPH, PAINTING, scale=2.0**exponent)
    for term in (CONTENT, *STYLES.values()):
        found, expected = loss_of(term, PICTURE, scaled), loss_of(term, PICTURE, SCENE)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("term", [CONTENT, *STYLES.values()], ids=repr)
def test_a_target_of_zeros_constrains_nothing_and_divides_nothing(term):
    silent = scene_of(PHOTOGRAPH, PAINTING, scale=0.0)
    target = term.target(silent)

    def loss(picture):
        seen = Seen(picture, look(picture), jnp.asarray(0))
        return term.loss(seen, target, weights_of_taps(term))

    value, gradient = jax.value_and_grad(loss)(jnp.asarray(PICTURE))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(PICTURE))


# --- gradients -----------------------------------------------------------------------------

TERMS = (CONTENT, *STYLES.values(), TotalVariation(), TotalVariation(kind="absolute"), COLOR)


@pytest.mark.slow
@pytest.mark.parametrize("term", TERMS, ids=repr)
def test_gradients_agree_with_finite_differences(term):
    with jax.enable_x64(True):
        scene = scene_of(PHOTOGRAPH.astype(np.float64), PAINTING.astype(np.float64))
        loss = jax.jit(partial(loss_of, term, scene=scene, jitter=1))
        picture = jnp.asarray(PICTURE, jnp.float64)
        gradient = jax.grad(loss)(picture)
        assert float(jnp.linalg.norm(gradient)) > 1e-3
        for seed in range(3):
            direction = jnp.asarray(picture_of(seed + 3) - 0.5, jnp.float64)
            h = 1e-6
            slope = (loss(picture + h * direction) - loss(picture - h * direction)) / (2 * h)
            np.testing.assert_allclose(jnp.vdot(gradient, direction), slope, rtol=1e-5, atol=1e-9)


# --- custom terms --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Quiet(Term):
    """How strongly a tap responds, relative to the photograph's."""

    name = "quiet"
    taps: tuple[str, ...] = ("stem",)

    def target(self, scene):
        return jnp.sum(jnp.abs(scene.look(scene.photograph)["stem"]))

    def loss(self, seen, target, weights):
        return jnp.sum(jnp.abs(seen.taps["stem"])) / target


@pytest.fixture(scope="module")
def stylize(toy, make_picture):
    contents, style = [make_picture(0, 32, 32)] * 2, make_picture(1, 32, 32)
    return partial(
        bnnjax.stylize_batch, contents, style, model=toy, size=32, steps=20, progress=False
    )


@pytest.mark.slow
def test_a_custom_term_is_added_to_the_others(stylize):
    own = {Quiet(): [0.0, 30.0]}
    losses = stylize(extra_terms=own, init="content").losses
    for found, weight in zip(losses, (0.0, 30.0), strict=True):
        weights = {"content": 0.3, "style": 6.0, "tv": 1.0, "color": 1.0, "quiet": weight}
        assert found.keys() == {"total", *weights}
        total = sum(weight * found[name] for name, weight in weights.items())
        np.testing.assert_allclose(found["total"], total, rtol=1e-5)
    np.testing.assert_allclose(losses[0]["quiet"][0], 1, atol=0.05)  # except for clipped pixels
    assert losses[1]["quiet"][-1] < 0.9 * losses[0]["quiet"][-1]


@dataclasses.dataclass(frozen=True)
class SecondStyle(Term):
    name = "style"


class Nameless(Term):
    pass


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({Quiet(("stemm",)): 1.0}, "toy has no tap 'stemm'; did you mean 'stem'"),
        ({SecondStyle(): 1.0}, "terms are called content, style, tv, color, style"),
        ({Quiet(): [1.0, 2.0, 3.0]}, r"quiet_weight has shape \(3,\), needs \(\) or \(2,\)"),
        ({Quiet(): "much"}, "quiet_weight is 'much', needs numbers"),
        ([Quiet()], r"extra_terms is \[Quiet.*, needs a dict \{MyTerm\(\): weight\}"),
        ({Quiet: 1.0}, "needs instances of bnnjax.nst.terms.Term"),
        ({Nameless(): 1.0}, "Nameless needs a class attribute `name`"),
    ],
)
def test_a_term_that_does_not_fit_is_refused(stylize, terms, message):
    with pytest.raises(ValueError, match=message):
        stylize(extra_terms=terms)
