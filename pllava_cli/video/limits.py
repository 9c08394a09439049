"""How much a clip may ask of this machine. Any clip may be hostile, so every size has a bound."""

MAX_THREADS = 8
"""Decoder threads: each holds pictures of its own, 35 MB for 4K HEVC (measured)."""
MAX_PICTURE_PIXELS = 80_000_000
"""Largest picture that is decoded; 8K video has 33 million pixels. A 710-byte GIF can claim 256 million."""
MAX_PICTURES = 1_000_000
"""Most pictures of a folder of frames: 92 hours at 3 a second."""
MAX_PICTURE_FILE_BYTES = 256 << 20
"""Largest file of one picture: the largest picture that is decoded takes 240 MB uncompressed."""
MAX_FRAMES_EXPECTED = 10_000_000
"""A larger count in a header (46 hours at 60 frames a second) is taken for nonsense."""
MAX_FRAMES_BYTES = 8 << 30
"""Most that the frames of one call may take: 16 of the largest pictures take 3.6 GiB."""
MAX_FRAMES_SHARE = 0.5
"""And most of the free memory that they may take; the caller wants to work on them."""
MAX_DECODER_BYTES = 8 << 30
"""Most memory that the decode worker may take for itself (the returned frames not counted)."""
MAX_FRAMES = 4096
"""Most frames of one call; the checkpoints take 4 to 32."""
