"""Several patches with one request, and whether what comes so can be trusted.

queue   patches that wait, and which of them are read together
trust   which of those that came together are read once more, alone, and compared
reads   what becomes of batches and checks that were read
count   what all of that takes, for a plan
"""
