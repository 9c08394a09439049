"""What answers come to: the rules of each benchmark, and how figures are counted."""
