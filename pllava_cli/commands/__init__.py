"""The commands: one file each, which parses, calls and renders, and holds no algorithm.

Nothing imports from here but `app`. What needs torch is imported inside a command's body, so that
help and completion stay quick.
"""
