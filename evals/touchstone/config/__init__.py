"""TOML and command-line values become checked, frozen data; every wrong one is a one-sentence error."""
