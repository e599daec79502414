"""Probes on vectors: `neighbours` and `linear` predict, `metrics` measure; comparisons and curves."""
