"""Which photos train with which: positives, negatives, pairs."""
