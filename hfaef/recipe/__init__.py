"""What the user asks for: the recipe, its reading, and the built-in ones."""
