"""Questions about an index: how small it may be, and whether it may stay."""
