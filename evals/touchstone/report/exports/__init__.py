"""Folders of files for other tools: each module has a constant ``FORMAT``, as the formats beside this folder."""
