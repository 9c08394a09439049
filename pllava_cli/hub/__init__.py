"""Checkpoints of the model hub: which files of a repository are needed, fetching, checking, deleting them.

The hub's own library makes the requests and the hub's own cache keeps the files; only what the library
does not do is done here: a file that was broken off is gone on with by the next process, and no file
appears in the cache before its hash is right.
"""
