"""How good a release is: vectors of patches, probes, scores."""
