"""Feature maps of one or several layers -> one vector per photo."""

from reseen.heads import fisher, instance, netvlad, pooling, remap, rmac, selective
from reseen.heads.base import HEADS, Head, create_head, l2, register

__all__ = [
    "HEADS",
    "Head",
    "create_head",
    "fisher",
    "instance",
    "l2",
    "netvlad",
    "pooling",
    "register",
    "remap",
    "rmac",
    "selective",
]
