"""What a release says of itself: the dataset card and its pictures.

render        makes README.md, from the manifest and ``dataset_card/card.md.jinja``
tables        the scores in it
published     where AlphaEarth stands among results of others
references    what it quotes from others, ``dataset_card/references.toml``
figures       the pictures
additions     puts scores and pictures into a release, and into its manifest
"""
