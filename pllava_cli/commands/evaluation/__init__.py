"""`pllava eval`: its commands, their flags, the run or sweep that does what they ask, and what it says."""
