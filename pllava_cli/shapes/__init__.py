"""The built-in world: coloured shapes to which things happen, as real video files with exact texts.

Nothing here was photographed and nobody wrote the captions by hand: a scene is drawn from a seed,
and its pictures, its caption and its questions are all computed from that one description, so they
cannot disagree.
"""
