"""Style transfer through binarized ImageNet networks, in JAX.

    import bnnjax
    result = bnnjax.stylize_batch("boat.jpg", "wave.jpg", model="quicknet")

Pictures are float32 arrays [H, W, 3], sRGB in [0, 1].
"""

from importlib.metadata import version

from bnnjax import interrupts  # noqa: F401, before everything that takes seconds to import
from bnnjax.atlas.atlas import activation_atlas
from bnnjax.atlas.channels import visualize
from bnnjax.attack.attack import attack_batch
from bnnjax.attack.config import AttackConfig
from bnnjax.attack.result import AttackResult
from bnnjax.models.forms import freeze, thaw
from bnnjax.models.network import Network
from bnnjax.models.registry import names as networks
from bnnjax.models.registry import register
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.recipe import Recipe
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stylize import stylize_batch
from bnnjax.port.load import load_model
from bnnjax.port.storage.cache import cache_compilations
from bnnjax.studies.sweep import sweep

__version__ = version("bnnjax")
__all__ = [
    "AttackConfig",
    "AttackResult",
    "Network",
    "Recipe",
    "StylizeConfig",
    "StylizeResult",
    "activation_atlas",
    "attack_batch",
    "freeze",
    "load_model",
    "networks",
    "register",
    "stylize_batch",
    "sweep",
    "thaw",
    "visualize",
]

cache_compilations()
