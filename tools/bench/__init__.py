"""Benchmarks beside the peers: every number is measured in the same run as theirs, and given as a ratio."""
