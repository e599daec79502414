"""From a recipe to a release folder.

pipeline      the steps of a build, in their order
plan          what a build will cost
batches       several patches with one request, and whether that can be trusted
fetch         from a source into staging; `fetch.engine` decides on retries
staging       pixels and outcomes between fetching and packing
previous      pixels that are taken from the release before
missing       patches that could not be had
pack          from staged pixels to shards
status        what is done in a build's folder, and what to type next
cluster       a Dask cluster
source_check  rows of a release beside what the source gives today
"""
