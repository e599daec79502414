"""What a release says of itself: the dataset card and its pictures."""
