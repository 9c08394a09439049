"""How checkpoints that are to come with the project are made."""
