"""A release as a benchmark on the Hub.

eval_yaml      the file by which the Hub knows a data set as one
model_results  scores in the two forms that a model's repository can hold
"""
