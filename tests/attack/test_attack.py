"""`attack_batch` as a whole: who is attacked, what is reported, and what the checks say."""

import csv
import dataclasses
import inspect

import numpy as np
import pytest
from PIL import Image

import bnnjax
from bnnjax import images
from bnnjax.attack import AttackConfig, attack_into, portions
from bnnjax.attack.inputs import class_index, pictures_of

QUICK = {"steps": 5, "progress": False}


@pytest.fixture(scope="module")
def network(linear_network, random_kernel):
    return linear_network(random_kernel() / 20)


@pytest.fixture(scope="module")
def decisions(network, grey_pictures):
    return np.asarray(network(grey_pictures(6) / np.float32(255))[0]).argmax(1)


@pytest.fixture(scope="module")
def result(network, grey_pictures, decisions):
    """Six pictures, of which the last two have wrong labels."""
    labels = [*decisions[:4], *(decisions[4:] + 1) % 5]
    return bnnjax.attack_batch(
        grey_pictures(6), network, labels=labels, epsilon=(20, 1), checks=4, queries=50, **QUICK
    )


@pytest.mark.slow
def test_correctly_classified_pictures_are_attacked_and_others_left(result, grey_pictures):
    assert result.clean_top1 == pytest.approx(100 * 4 / 6)
    for row in result.outcome.pictures:
        for number in (4, 5):
            np.testing.assert_array_equal(row[number], grey_pictures(6)[number])
        for number in range(4):
            assert (row[number] != grey_pictures(6)[number]).any()


@pytest.mark.slow
def test_figures_are_those_of_the_8_bit_pictures(result, network, grey_pictures):
    assert result.epsilons == (1.0, 20.0)
    for epsilon, row, top1, rate in zip(
        result.epsilons, result.outcome.pictures, result.adversarial_top1, result.success_rate,
        strict=True,
    ):  # fmt: skip
        logits = np.asarray(network(np.stack(row) / np.float32(255))[0])
        right = logits.argmax(1) == result.inputs.labels
        assert top1 == pytest.approx(100 * right.mean())
        assert rate == pytest.approx(100 * (1 - right[:4].mean()))
        change = np.abs(np.stack(row).astype(int) - grey_pictures(6))
        assert change.max() <= epsilon
    assert result.success_rate[1] == 100


def test_figures_have_the_promised_keys(result):
    figures = result.figures
    assert figures["n"] == 6
    assert figures["attacked"] == 4
    assert figures["clean_top1"] == result.clean_top1
    assert figures["adversarial_top1"].keys() == figures["success_rate"].keys() == {"1", "20"}
    assert figures["mean_distances"]["20"]["linf"] == 20
    assert 0 < figures["mean_distances"]["20"]["ssim"] < figures["mean_distances"]["1"]["ssim"] < 1


def test_the_best_linear_attack_passes_all_checks(result):
    names = [check.name for check in result.checks]
    assert names == ["larger epsilon", "more steps", "no bound", "noise", "square"]
    assert all(check.passed for check in result.checks)
    assert result.problems == []


@pytest.mark.slow
def test_a_masked_network_is_flagged(linear_network, masked, random_kernel, grey_pictures):
    """Without a gradient the attack is its random start: Square beats it, and no radius helps."""
    network = linear_network(random_kernel() / 20, build=masked)
    found = bnnjax.attack_batch(
        grey_pictures(8), network, epsilon=20, checks=8, queries=200, **QUICK
    )
    failed = {check.name for check in found.checks if not check.passed}
    assert {"no bound", "square"} <= failed
    assert any("gradients may be masked" in problem for problem in found.problems)
    assert not all(check["passed"] for check in found.figures["checks"])


@pytest.mark.slow
def test_pictures_of_another_network_can_expose_masking(
    linear_network, masked, random_kernel, grey_pictures
):
    """The same logits with a gradient: pictures made through them fool the masked network."""
    kernel = random_kernel() / 20
    found = bnnjax.attack_batch(
        grey_pictures(8), linear_network(kernel, build=masked), epsilon=20, checks=8, queries=1,
        transfer=linear_network(kernel), **QUICK,
    )  # fmt: skip
    (transfer,) = (check for check in found.checks if check.name == "transfer")
    assert not transfer.passed
    # The two networks always agree.
    assert found.transferred[20.0] == found.success_rate[0]


def test_larger_balls_that_leave_more_are_flagged():
    from bnnjax.attack.checks import _larger_epsilon

    assert _larger_epsilon([50.0, 20.0, 20.0, 0.0]).passed
    assert not _larger_epsilon([50.0, 20.0, 30.0, 0.0]).passed


def test_labels_are_decisions_unless_given(network, grey_pictures, decisions):
    found = bnnjax.attack_batch(grey_pictures(6), network, epsilon=1, checks=0, **QUICK)
    np.testing.assert_array_equal(found.inputs.labels, decisions)
    assert found.clean_top1 == 100
    assert found.figures["labels"] == "decisions of the network"


@pytest.mark.slow
def test_targets_are_reached_and_their_own_pictures_left(network, grey_pictures, decisions):
    own, another = int(decisions[0]), int(decisions[0] + 1) % 5
    for target in (own, another):
        found = bnnjax.attack_batch(
            grey_pictures(6), network, target=target, epsilon=60, checks=0, **QUICK
        )
        attacked = decisions != target
        np.testing.assert_array_equal(found.inputs.attackable(), attacked)
        np.testing.assert_array_equal(found.outcome.logits[0].argmax(1), target)
        assert found.figures["attacked"] == attacked.sum()
    assert found.success_rate == [100]


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["pgd", "apgd"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("options", [{}, {"loss": "dlr"}, {"scaling": "hns"}, {"scaling": "njs"}])
def test_all_attacks_fool_a_linear_network(network, grey_pictures, attack, norm, options):
    epsilon = 20 if norm == "linf" else 20 * 768**0.5
    found = bnnjax.attack_batch(
        grey_pictures(2), network, attack=attack, norm=norm, epsilon=epsilon, checks=0,
        **options, **QUICK,
    )  # fmt: skip
    assert found.success_rate == [100]
    moved = found.distances[0][0]
    assert (moved.linf if norm == "linf" else moved.l2) <= epsilon + 1e-6


def test_more_restarts_never_find_less(network, grey_pictures, decisions):
    leads = []
    for restarts in (1, 4):
        found = bnnjax.attack_batch(
            grey_pictures(6), network, epsilon=2, restarts=restarts, checks=0, steps=1,
            progress=False,
        )  # fmt: skip
        own = found.outcome.logits[0][np.arange(6), decisions]
        others = np.where(np.eye(5)[decisions] == 1, -np.inf, found.outcome.logits[0]).max(1)
        leads.append(own - others)
    assert (leads[1] <= leads[0]).all()
    assert (leads[1] < leads[0]).any()


def test_the_same_seed_gives_the_same_pictures(network, grey_pictures):
    first, same, other = (
        bnnjax.attack_batch(grey_pictures(2), network, epsilon=4, seed=seed, checks=0, **QUICK)
        for seed in (0, 0, 1)
    )
    for row in zip(first.outcome.pictures[0], same.outcome.pictures[0], strict=True):
        np.testing.assert_array_equal(*row)
    different = zip(first.outcome.pictures[0], other.outcome.pictures[0], strict=True)
    assert any((a != b).any() for a, b in different)


def test_the_signature_names_every_option_with_its_default():
    parameters = inspect.signature(bnnjax.attack_batch).parameters
    for field in dataclasses.fields(AttackConfig):
        assert parameters[field.name].default == field.default
        assert parameters[field.name].kind is inspect.Parameter.KEYWORD_ONLY
    assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    assert {"images", "model", "labels", "config"} < {*parameters}


# --- a real binary network -------------------------------------------------------------------


@pytest.mark.slow
def test_a_binary_network_does_not_hold(make_picture):
    """The small form of the study, with the shipped network."""
    pictures = np.stack([make_picture(seed, 64, 64) for seed in range(4)])
    found = bnnjax.attack_batch(pictures, size=64, epsilon=4, checks=4, queries=20, **QUICK)
    assert found.success_rate == [100]
    assert found.problems == []


# --- files -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, network, grey_pictures):
    """A folder of two files, attacked."""
    folder = tmp_path_factory.mktemp("user")
    for number, picture in enumerate(grey_pictures(2)):
        Image.fromarray(picture).save(folder / f"{'ab'[number]}.png")
    sources = [folder / "a.png", folder / "b.png"]
    found, paths = attack_into(folder / "out", sources, network, epsilon=(1, 20), checks=0, **QUICK)
    return folder, sources, found, paths


def test_saved_pictures_are_in_the_ball_and_still_adversarial(folder, network):
    folder, sources, found, _ = folder
    for number, source in enumerate(sources):
        before = np.asarray(Image.open(source)).astype(int)
        for row, epsilon in enumerate(found.epsilons):
            path = folder / "out" / f"{source.stem}__eps{epsilon:g}.png"
            after = np.asarray(Image.open(path)).astype(int)
            assert np.abs(after - before).max() <= epsilon
            decision = int(network(after[None] / np.float32(255))[0].argmax())
            adversarial = decision != found.inputs.labels[number]
            assert adversarial == found.success[row, number]


def test_changes_are_magnified_to_the_full_range(folder):
    folder, _, found, _ = folder
    shown = images.load(folder / "out" / "a__eps20__change.png")
    change = found.outcome.pictures[1][0].astype(float) - found.inputs.pictures[0]
    np.testing.assert_allclose(shown, 0.5 + change / 40, atol=0.5 / 255 + 1e-6)
    assert (shown.min(), shown.max()) == (0, 1)


def test_the_table_has_a_row_for_each_picture_and_radius(folder):
    folder, _, found, paths = folder
    with open(folder / "out" / "attack.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["picture"], row["epsilon"]) for row in rows] == [
        (name, epsilon) for epsilon in ("1", "20") for name in "ab"
    ]
    for place, row in enumerate(rows):
        assert int(row["success"]) == found.success[place // 2, place % 2]
        assert len(row["top5_before"].split("; ")) == 5
        assert float(row["linf"]) <= float(row["epsilon"])
    assert {path.name for path in paths} >= {"attack.csv", "attack.png", "contact_sheet.png"}
    assert all(path.is_file() for path in paths)
    assert not (folder / "out" / ".snapshots").exists()


def test_a_finished_folder_is_not_overwritten(folder, network):
    folder, sources, _, _ = folder
    with pytest.raises(ValueError, match=r"attack\.csv: exists already"):
        attack_into(folder / "out", sources, network, epsilon=1, checks=0, **QUICK)


# --- interruption ----------------------------------------------------------------------------


@pytest.fixture
def small_portions(monkeypatch):
    monkeypatch.setattr(portions, "PORTION", 2)


@pytest.mark.usefixtures("small_portions")
def test_a_killed_run_resumes_and_reaches_the_same_pictures(
    network, grey_pictures, tmp_path, monkeypatch
):
    options = {"epsilon": (1, 4), "checks": 0, **QUICK}
    whole = bnnjax.attack_batch(grey_pictures(6), network, **options)
    searched, search = [], portions.search

    def dying(network, jobs, *rest, **keywords):
        searched.append(len(jobs))
        if len(searched) == 3:
            raise MemoryError
        return search(network, jobs, *rest, **keywords)

    monkeypatch.setattr(portions, "search", dying)
    with pytest.raises(MemoryError):
        bnnjax.attack_batch(grey_pictures(6), network, snapshots=tmp_path, **options)
    resumed = bnnjax.attack_batch(grey_pictures(6), network, snapshots=tmp_path, **options)
    assert searched == [4] * 4  # two portions and the death, then the last portion alone
    for row in range(2):
        for pair in zip(whole.outcome.pictures[row], resumed.outcome.pictures[row], strict=True):
            np.testing.assert_array_equal(*pair)
    with pytest.raises(ValueError, match="another run"):
        bnnjax.attack_batch(
            grey_pictures(6), network, snapshots=tmp_path, **{**options, "epsilon": 3}
        )


@pytest.mark.usefixtures("small_portions")
def test_an_interrupted_run_reports_the_pictures_it_finished(network, grey_pictures, monkeypatch):
    answers, search = iter([True, False]), portions.search
    monkeypatch.setattr(
        portions, "search", lambda *a, **k: search(*a, **k) if next(answers) else None
    )
    found = bnnjax.attack_batch(grey_pictures(6), network, epsilon=20, **QUICK)
    assert found.interrupted
    assert found.problems == ["interrupted after 2 pictures"]
    assert found.figures["n"] == 2
    assert found.checks == []


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilons": 1}, "no option 'epsilons'; did you mean 'epsilon'"),
        ({"epsilon": (1, 1)}, "different finite numbers"),
        ({"epsilon": -1}, "positive numbers"),
        ({"epsilon": "many"}, "needs numbers"),
        ({"norm": "l1"}, "needs one of linf, l2"),
        ({"attack": "fgsm"}, "needs one of pgd, apgd, style"),
        ({"attack": "style"}, "needs styles"),
        ({"styles": "wave.jpg"}, "no other attack"),
        ({"steps": 0}, "an integer from 1"),
        ({"scaling": "hns", "loss": "dlr"}, "divides it out"),
        ({"size": 17}, "no logits for 17×17 px"),
        ({"labels": [0]}, "an integer for each of 2"),
        ({"labels": [0, 5]}, "not all among 5 classes"),
        ({"target": 5}, "class 5 is not one of 5"),
        ({"target": "boat"}, "no class 'boat'"),
    ],
)
def test_bad_input_is_refused(network, grey_pictures, options, message):
    with pytest.raises(ValueError, match=message):
        bnnjax.attack_batch(grey_pictures(2), network, progress=False, **options)


def test_classes_are_found_by_name_or_index():
    names = ("tench", "Mailbox", "cock")
    assert class_index("mailbox", names) == class_index("1", names) == class_index(1, names) == 1
    with pytest.raises(ValueError, match=r"no class 'mail box'; did you mean 'Mailbox'\?$"):
        class_index("mail box", names)


def test_pictures_of_a_folder_are_taken_evenly(tmp_path, grey_pictures):
    for number in range(7):
        Image.fromarray(grey_pictures(1)[0]).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    paths, labels = pictures_of([str(tmp_path)], None, num_classes=5, limit=3)
    assert ([path.name for path in paths], labels) == (["0.png", "3.png", "6.png"], None)
    table = tmp_path / "labels.csv"
    table.write_text("file,class_index\n2.png,4\n5.png,1\n")
    paths, labels = pictures_of([str(tmp_path)], str(table), num_classes=5)
    assert ([path.name for path in paths], labels) == (["2.png", "5.png"], [4, 1])
    with pytest.raises(ValueError, match="one folder"):
        pictures_of(["a.png", "b.png"], str(table), num_classes=5)
