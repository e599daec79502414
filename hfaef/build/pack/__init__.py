"""From staged pixels to shards."""
