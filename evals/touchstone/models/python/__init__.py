"""Objects of the user's own: what they must be, how they are asked, and how they are known."""
