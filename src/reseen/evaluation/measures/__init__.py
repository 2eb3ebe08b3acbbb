"""Figures of merit, their statistics, and the rankings that they read."""
