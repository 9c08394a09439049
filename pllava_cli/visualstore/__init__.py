"""Visual tokens on the disk: a clip is decoded and seen once, whatever else of a run is changed.

What the language model is given of a clip depends on the clip's bytes, on the vision tower and the
projector, and on how frames are chosen and pooled; not on the question, and not on how strongly LoRA
counts in the language model. So a sweep over such settings looks at every clip once.
"""
