"""Feature maps of one or several layers -> one vector per photo."""

from reseen.heads import fisher, netvlad, pooling, remap, rmac, selective
from reseen.heads.base import Head, Material, create_head, l2, register
from reseen.heads.museum import regions as museum

__all__ = [
    "Head",
    "Material",
    "create_head",
    "fisher",
    "l2",
    "museum",
    "netvlad",
    "pooling",
    "register",
    "remap",
    "rmac",
    "selective",
]
