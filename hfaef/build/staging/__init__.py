"""Pixels and outcomes between fetching and packing.

store       the staging of one folder, held by one process
ledger      what happened to each patch, in SQLite
pixels      one ``.npy`` file a patch and year
filesystem  where these files lie: a folder, or an object store
identity    what staged pixels were made from
reuse       which of them a later build may use
"""
