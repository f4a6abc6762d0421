"""The data classes of the package, all frozen."""
