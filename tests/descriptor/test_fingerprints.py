"""A shipped recipe keeps its fingerprint: collections made with it go on being its own."""

import pytest

from reseen.descriptor import load

FINGERPRINTS = {
    "default": "4940a99f8410f1bf98be5da8f7da840a5e6578311592ac46527a9e60e8f4e97a",
    "rmac-lite0": "0f8949134ea3439d804068fb7d69122d371ce8da5b3de8d8a2de7966955ad1f9",
    "mac-lite0": "4834478981788ea540a9f514ca733277a2490051508fc77c310ed4e128fded43",
    "gem-lite0": "145ee96580643f2fa5adff279c47be48a7cd1fda5b37c10c6141e83b6bd5dbbf",
    "spoc-lite0": "b5b6b96952b7f479904b78453912bf248ee301abeb0244bbd2bd4f9d16f220dc",
    "crow-lite0": "219be6c1bc01cc6d346b38e8d26d7ab257e363c0a85f6accb83569e0becfad58",
}
"""They change only with a reason in the changelog."""


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_shipped_recipes_keep_their_fingerprints(name):
    assert load(name).fingerprint == FINGERPRINTS[name]
