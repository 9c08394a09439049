"""What records are not worth keeping: looked at as text, without a model.

The checks flag, they never judge: a flagged caption may be right, and an unflagged one wrong. Each check
is cheap enough for 100,000 records and says exactly what it measures.
"""
