"""Small studies through the small network of the tests of style transfer."""

import pytest

from tests.nst.conftest import TOY


@pytest.fixture(scope="session")
def toy(with_random_weights):
    return with_random_weights(TOY)


@pytest.fixture(scope="session")
def files(tmp_path_factory, make_picture):
    """Two photographs and a painting as files."""
    from bnnjax import images

    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{name}.png" for name in ("boat", "lion", "wave")]
    for seed, path in enumerate(paths):
        images.save_png(path, make_picture(seed, 40, 44))
    return paths


@pytest.fixture
def small(toy):
    """Options of a study that takes a second."""
    return {"model": toy, "size": 32, "steps": 3, "progress": False}
