"""How the checkpoint and the pictures that come with the project are made."""
