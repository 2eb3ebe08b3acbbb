"""Which photos train with which: positives, negatives, pairs; and how well regions tell them apart."""
