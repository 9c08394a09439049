"""Several models at work on one batch, each in a process of its own, here or on a cluster.

One process hands out clips by name and writes every record; the workers decode and caption with the
pipeline that a run on one device uses. Frames never travel, so a worker may be on any machine that sees
the clips. A worker that dies costs time, and at most the one clip that it dies of.
"""
