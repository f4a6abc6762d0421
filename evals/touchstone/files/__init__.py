"""File boundaries: read untrusted files with bounds, write whole files."""
