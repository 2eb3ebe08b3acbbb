"""Indexes: from what is asked to the ids of the nearest."""
