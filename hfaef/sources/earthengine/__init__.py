"""The embedding from Earth Engine, quantized on its servers.

source       the source; makes the request of a patch
batch        requests for several patches at once
session      the connection through which requests go, under the quotas of `quota`
expression   what the server computes
limits       what one request may hold
npy          the pixels of a response
credentials  who asks
errors       what the client raises, as the kinds of `hfaef.errors`
"""
