"""bnnjax.images.sheet: where pictures and labels go."""

import numpy as np
import pytest

from bnnjax import images


def flat(height, width, value):
    return np.full((height, width, 3), value, np.float32)


def test_pictures_lie_whole_and_centred_in_their_cells(assert_picture):
    rows = [[flat(10, 20, 0.2), flat(30, 15, 0.4)], [flat(8, 8, 0.6)]]
    sheet = images.contact_sheet(rows, cell=40)
    assert sheet.shape == (8 + 2 * 48, 8 + 2 * 48, 3)
    expected = np.ones_like(sheet)
    expected[8 + 10 : 8 + 30, 8:48] = 0.2
    expected[8:48, 56 + 10 : 56 + 30] = 0.4
    expected[56:96, 8:48] = 0.6
    assert_picture(sheet, expected)


def test_labels_are_written_under_their_pictures():
    rows = [[flat(4, 4, 1.0), flat(4, 4, 1.0)], [flat(4, 4, 1.0)]]
    sheet = images.contact_sheet(
        rows, labels=[["left", ""], ["a name much too long to fit"]], cell=50
    )
    assert sheet.shape == (8 + 2 * 78, 8 + 2 * 58, 3)
    ink = sheet.min(-1) < 0.5
    assert ink[58:78, 8:58].any()
    assert ink[136:156, 8:58].any()
    ink[58:78, 8:58] = ink[136:156, 8:58] = False
    assert not ink.any()


def caption(text, cell):
    return images.contact_sheet([[flat(4, 4, 1.0)]], labels=[[text]], cell=cell)[-28:-8, 8:-8]


def test_a_label_that_fits_is_written_whole_and_others_are_cut():
    np.testing.assert_allclose(caption("landscape", 200)[:, 50:150], caption("landscape", 100))
    cut = caption("landscape with waves", 100)
    prefixes = ["landscape with waves"[:n] + "…" for n in range(8, 18)]
    assert sum(bool((caption(prefix, 100) == cut).all()) for prefix in prefixes) >= 1


def test_very_long_pictures_do_not_vanish():
    sheet = images.contact_sheet([[flat(1, 500, 0.0)]], cell=40)
    assert (sheet[:, 8:48] == 0).all(axis=(1, 2)).sum() == 1


@pytest.mark.parametrize(
    ("rows", "options", "part"),
    [
        ([], {}, "at least one picture"),
        ([[], []], {}, "at least one picture"),
        ([[flat(2, 2, 1.0)]], {"cell": 0}, "cell is 0, needs an integer"),
        ([[flat(2, 2, 1.0)]], {"labels": [[]]}, "nested like rows"),
        ([[flat(2, 2, 1.0)]], {"labels": [["a"], ["b"]]}, "nested like rows"),
        ([[flat(2, 0, 1.0)]], {}, "[2, 0, 3]"),
    ],
)
def test_invalid_sheets_are_refused(rows, options, part, one_line_error):
    one_line_error(lambda: images.contact_sheet(rows, **options), part)
