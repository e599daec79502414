"""From staged pixels to shards.

rows           encodes patches and writes them, in the same order each time
parquet        shards in Parquet (those in tar files: `release.format.webdataset`)
placement      which rows stay where the release before had them
previous_year  puts into pooled rows how alike a patch is to itself a year before
boundary       padding, at which the Hub's storage ends a chunk
"""
