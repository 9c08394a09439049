"""From a video file to the frames the model looks at. Knows no torch.

`reader` is the only door for the rest of the package. It checks the path (`probe`) and asks a worker
process (`process` on this side, `worker` on the other), where `decode` tries the fast exact way
(`splice`), then the simple exact one (`scan` over `capture`), then PyAV (`scan` over `pyav`). Which
frames are read is pure arithmetic (`sampling`), the same for all three. Shots are found there too
(`shots`).
"""
