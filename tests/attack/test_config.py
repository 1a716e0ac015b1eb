"""The options of an attack."""

import dataclasses
import typing

import pytest

from bnnjax.attack import AttackConfig
from bnnjax.attack.config import AttackOptions


def test_keyword_arguments_are_the_fields():
    fields = [field.name for field in dataclasses.fields(AttackConfig)]
    assert list(typing.get_type_hints(AttackOptions)) == fields


def test_radii_are_sorted_and_read_from_text():
    """As the command line gives them."""
    assert AttackConfig(epsilon=["8", "1", "0.5"]).epsilon == (0.5, 1, 8)
    assert AttackConfig(epsilon=2).epsilon == (2,)


def test_steps_depend_on_the_attack_unless_given():
    assert AttackConfig().updates == 20
    assert AttackConfig(attack="style").updates == 400
    assert AttackConfig(attack="style", steps=7).updates == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [("step_size", 0), ("clip", -1), ("clip", (1, 2)), ("restarts", 0), ("seed", -1),
     ("epsilon", ()), ("epsilon", float("inf")), ("checks", 1.5), ("loss", "hinge")],
)  # fmt: skip
def test_bad_values_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        AttackConfig(**{name: value})
