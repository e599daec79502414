"""From a source into staging.

engine             decides: what is read when, how much at once, what is tried again or hedged
retry              how long it waits before that, and its other limits
attempts           the state of patches and batches that are under way
concurrency_limit  how many reads may be under way at once
latency            how long reads take, and so when one is hedged
breaker            whether the source itself is down
read               the read of a patch or batch, in parts if it is too big; what an executor is
threads            an executor: threads of this process
dask               an executor: workers of a cluster
"""
