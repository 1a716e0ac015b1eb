"""Adversarial attacks on binarized networks, and checks of how far to trust their failure."""

from bnnjax.attack.attack import attack_batch
from bnnjax.attack.config import AttackConfig
from bnnjax.attack.folder import attack_into
from bnnjax.attack.result import AttackResult, Check
from bnnjax.attack.style import Classified

__all__ = [
    "AttackConfig",
    "AttackResult",
    "Check",
    "Classified",
    "attack_batch",
    "attack_into",
]
