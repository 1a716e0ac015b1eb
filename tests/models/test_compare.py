"""The comparison of float and binary networks, against the figures that the authors published."""

import pytest

from bnnjax.models import compare, registry


def test_the_comparison_of_the_article():
    """VGG-19 has 548 MiB and QuickNet 4.17, so 8 per cent of accuracy cost 131 times the memory."""
    rows = {row.name: row for row in compare.compare()}
    large, small = rows["vgg19"], rows["quicknet"]
    assert (large.top1, large.parameters, large.ratio) == (71.3, 143_667_240, 1)
    assert (small.top1, small.parameters, small.mebibytes) == (63.3, 13_234_088, 4.17)
    assert small.ratio == pytest.approx(143_667_240 * 32 / 8 / 2**20 / 4.17, rel=1e-4)


def test_the_largest_come_first_and_all_have_figures():
    rows = compare.compare()
    sizes = [row.mebibytes for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert all(min(row[1:]) > 0 for row in rows)
    names = {row.name for row in rows}
    assert {"vgg16", "inception_v1", "quicknet_small", "quicknet_v0"} <= names
    assert not {"vgg19_conv5_1", "inknet"} & names  # without a classifier for ImageNet


def test_sizes_may_be_compared_with_another_network():
    rows = {row.name: row.ratio for row in compare.compare("quicknet")}
    assert rows["quicknet"] == 1
    assert rows["vgg19"] < 0.01


def test_a_network_without_figures_cannot_be_compared_with():
    with pytest.raises(ValueError, match="inknet has no published figures"):
        compare.compare("inknet")
    with pytest.raises(ValueError, match="did you mean 'vgg19'"):
        compare.compare("vgg_19")


def test_the_table_has_one_line_per_network():
    rows = compare.compare()
    heading, *lines = compare.table(rows)
    assert len(heading) == len(compare.Row._fields)
    assert [line[0] for line in lines] == [row.name for row in rows]
    assert dict(zip(heading, lines[0], strict=True)) == {
        "network": "vgg19",
        "top-1 %": "71.3",
        "top-5 %": "90.0",
        "parameters": "143,667,240",
        "memory (MiB)": "548.05",
        "ratio": "1.0",
    }
    assert registry.find(lines[-1][0]).card.mebibytes == min(row.mebibytes for row in rows)
