"""The formulas written out stand beside their tests and import nothing of the library."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
