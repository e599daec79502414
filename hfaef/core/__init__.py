"""Arrays, grids and files: what every other package stands on, and nothing of this project's flow."""
