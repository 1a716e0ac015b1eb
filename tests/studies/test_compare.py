"""A comparison in small: what is written, kept, resumed and refused; and random networks."""

import csv
import socket

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax import images
from bnnjax.judge import checker
from bnnjax.layers import BatchNorm
from bnnjax.models import registry, untrained
from bnnjax.nst.recipe import Recipe
from bnnjax.studies import bench, compare, comparison

SMALL = {"size": 64, "steps": 2}


def features(batch):
    """A judge that costs nothing."""
    return {"pixels": batch, "squares": jnp.square(batch[:, ::2, ::2] - 0.3)}


@pytest.fixture
def pictures(tmp_path, make_picture):
    """Two photographs and two paintings as files."""
    paths = [tmp_path / f"{name}.png" for name in ("boat", "cat", "wave", "kiss")]
    for seed, path in enumerate(paths):
        images.save_png(path, make_picture(seed, 64, 96))
    return paths[:2], paths[2:]


@pytest.fixture
def run(pictures, tmp_path, monkeypatch):
    """A function that compares networks; there is no connection, and nothing is cached."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("BNNJAX_ZOO_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("BNNJAX_CACHE", str(tmp_path / "cache"))

    def run(*models, **options):
        options = {**SMALL, "judge": features, "progress": False, **options}
        return compare.compare(models, *pictures, tmp_path / "out", **options)

    return run


@pytest.fixture
def painted(monkeypatch):
    """For each call of `stylize_batch`, how the network got its weights and how many pictures."""
    calls, original = [], bench.stylize_batch

    def record(contents, *rest, model, **options):
        calls.append((model.provenance["source"] == "random", len(contents)))
        return original(contents, *rest, model=model, **options)

    monkeypatch.setattr(bench, "stylize_batch", record)
    return calls


@pytest.mark.slow
def test_every_network_gets_pictures_measures_and_costs(run, tmp_path, pictures):
    models = ("inknet", "xnornet", "random:inknet")
    outcomes = run(*models)
    inknet, xnornet, random = outcomes
    assert [outcome.name for outcome in outcomes] == ["inknet", "xnornet", "random_inknet"]
    for outcome in (inknet, random):
        assert [*outcome.rows] == ["boat__wave", "cat__kiss"]
        for name, row in outcome.rows.items():
            path = tmp_path / "out" / outcome.name / f"{name}.png"
            assert row["checker"] == pytest.approx(float(checker(images.load(path))))
            assert Recipe.read(path).config.steps == 2
        assert outcome.figures["ms_per_step"] > 0
        assert outcome.figures["memory_mib"] > 1
        assert outcome.note == ""
        mean = np.mean([row["style"] for row in outcome.rows.values()])
        assert outcome.figures["style"] == pytest.approx(mean)
    assert inknet.figures["weights_mib"] == pytest.approx(2.44, abs=0.03)  # of its card
    assert random.weights_mib == inknet.weights_mib
    assert xnornet.note.startswith("no weights: ")
    assert "cannot be downloaded" in xnornet.note
    assert xnornet.figures == {}

    table = comparison.table(outcomes)
    assert table[0] == [
        *("network", "style", "strokes", "content", "checker"),
        *("ms/step", "memory MiB", "weights MiB", "note"),
    ]
    assert table[2][:8] == ["xnornet", *"-------"]
    assert table[1][1] == f"{inknet.figures['style']:.3f}"
    with open(tmp_path / "out" / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["network"], row["picture"]) for row in rows] == [
        *(("inknet", "boat__wave"), ("inknet", "cat__kiss"), ("xnornet", "")),
        *(("random_inknet", "boat__wave"), ("random_inknet", "cat__kiss")),
    ]
    assert float(rows[1]["content"]) == inknet.rows["cat__kiss"]["content"]
    # Two rows of photograph, painting and two pictures, with labels.
    sheet = images.load(tmp_path / "out" / "sheet.png")
    assert sheet.shape == (8 + 2 * (224 + 8 + 20), 8 + 4 * (224 + 8), 3)


@pytest.mark.slow
def test_a_plot_has_a_bar_per_network(run, tmp_path):
    pytest.importorskip("matplotlib")
    run("inknet")
    assert images.load(tmp_path / "out" / "comparison.png").std() > 0.01


@pytest.mark.slow
def test_finished_pictures_are_kept_and_others_are_made(run, painted, tmp_path):
    (first,) = run("inknet")
    again, random = run("inknet", "random:inknet")
    assert again.rows == first.rows
    assert random.rows
    assert painted == [(False, 2), (True, 2)]
    (tmp_path / "out" / "inknet" / "cat__kiss.png").unlink()
    (third,) = run("inknet")
    assert painted[2:] == [(False, 1)]
    assert third.rows["boat__wave"] == first.rows["boat__wave"]
    assert third.rows["cat__kiss"]["style"] == first.rows["cat__kiss"]["style"]
    run("random:inknet", overwrite=True)
    assert painted[3:] == [(True, 2)]


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_where_it_stopped(run, painted, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(compare, "untrained", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run("inknet", "random:inknet")
    assert painted == [(False, 2)]
    assert len(run("inknet", "random:inknet")) == 2
    assert painted == [(False, 2), (True, 2)]


@pytest.mark.slow
def test_pictures_with_other_options_are_not_mixed(run):
    run("inknet")
    with pytest.raises(ValueError, match=r"boat__wave.png was made .* with other options; choose"):
        run("inknet", steps=3)
    assert run("inknet", steps=3, overwrite=True)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("quiknet", {}, "no network 'quiknet'; did you mean 'quicknet'"),
        ("random:quiknet", {}, "no network 'quiknet'; did you mean 'quicknet'"),
        ("none.safetensors", {}, "none.safetensors: no such file"),
        ("inknet", {"step": 3}, "no option 'step'; did you mean 'steps'"),
        ("inknet", {"judge": None}, "a comparison needs a judge"),
    ],
)
def test_what_is_wrong_is_told_before_the_work(run, painted, model, options, message):
    with pytest.raises(ValueError, match=message):
        run("inknet", model, **options)
    assert painted == []


def test_networks_have_different_names():
    models = ["a/net.safetensors", "b/net.safetensors", "random:net", "net"]
    assert compare.names_of(models) == ["net", "net-2", "random_net", "net-3"]


# --- random networks -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch(make_picture):
    return np.stack([make_picture(seed) for seed in range(4)])


@pytest.mark.slow
def test_a_random_network_has_the_norms_of_its_pictures(batch):
    """Before the first signs, every channel has mean 0 and deviation 1 over the pictures."""
    network = untrained.untrained(registry.find("bmxnet_resnet18"), batch)
    assert network.form == "packed"
    assert network.provenance == {"source": "random", "seed": 0}
    tap = np.asarray(network(batch)[1]["section1_block1_norm"])
    np.testing.assert_allclose(tap.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(tap.std((0, 1, 2)), 1, atol=1e-2)
    assert any(isinstance(layer, BatchNorm) for layer in network.architecture.layers().values())


@pytest.mark.slow
def test_random_networks_differ_by_their_seeds_only(batch):
    entry = registry.find("inknet")
    one, same, other = (untrained.untrained(entry, batch, seed=seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one.variables, same.variables)
    words = [
        flatten_dict(n.variables)["params", "section2_block1_conv", "words"] for n in (one, other)
    ]
    assert (words[0] != words[1]).mean() > 0.99


@pytest.mark.slow
def test_a_network_without_norms_can_be_random(batch):
    network = untrained.untrained(registry.find("vgg19_conv5_1"), batch)
    assert network.form == "float"
    assert np.isfinite(network(batch)[1]["relu5_1"]).all()
