"""Records in, text out. Nothing here measures, judges or writes a file."""
