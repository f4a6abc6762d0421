"""The store folder: hashes, vectors, cached outcomes, results, runs."""
