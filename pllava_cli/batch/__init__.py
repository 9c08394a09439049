"""Many clips into records: what is asked for, in which order, and how far it has come.

Data flows one way, from discovery through the pipeline into the journal, one clip at a time, so that
a hundred thousand files start as fast as one and take no more memory.
"""
