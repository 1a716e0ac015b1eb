"""Style transfer through binarized ImageNet networks, in JAX.

    import bnnjax
    result = bnnjax.stylize_batch("boat.jpg", "wave.jpg", weights="quicknet")

Pictures are float32 arrays [H, W, 3], sRGB in [0, 1].
"""

from bnnjax.models.forms import freeze, thaw
from bnnjax.models.network import Network
from bnnjax.models.registry import names as networks
from bnnjax.models.registry import register
from bnnjax.nst.config import LossWeights, StylizeConfig
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stylize import stylize_batch
from bnnjax.port.load import load_model

__all__ = [
    "LossWeights",
    "Network",
    "StylizeConfig",
    "StylizeResult",
    "freeze",
    "load_model",
    "networks",
    "register",
    "stylize_batch",
    "thaw",
]
