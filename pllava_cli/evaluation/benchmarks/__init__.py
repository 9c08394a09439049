"""Reading what a benchmark asks from the files in which it is published: one module for each of them."""
