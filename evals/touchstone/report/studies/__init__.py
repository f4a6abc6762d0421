"""Studies of an index as people read them."""
