"""Many clips into records: what is asked for, in which order, and how far it has come.

Data flows one way, from discovery through the pipeline into the journal, one clip at a time, so that a first
run over a hundred thousand files starts as fast as over one. A run that goes on compares all of them first.
"""
