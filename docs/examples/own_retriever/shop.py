"""A search path of one's own: SQLite's full-text index, asked as a product asks it."""

import re
import sqlite3
from collections.abc import Sequence

from touchstone.models import Document


class FullText:
    """Words after Porter's stemmer, ranked by SQLite's BM25; ``title_weight`` is what a word of a title counts."""

    version = sqlite3.sqlite_version  # what the file's hash does not show

    def __init__(self, title_weight: float = 2.0) -> None:
        self.title_weight = title_weight

    def index(self, documents: Sequence[Document]) -> None:
        """Take in all documents, in the place of those before."""
        self.db = sqlite3.connect(":memory:")
        self.db.execute("create virtual table shop using fts5(id unindexed, title, body, tokenize='porter')")
        rows = [(one.id, one.title, one.text.removeprefix(one.title)) for one in documents]
        self.db.executemany("insert into shop values (?, ?, ?)", rows)

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """Return each query's documents, best first."""
        return [self.find(query, k) for query in queries]

    def find(self, query: str, k: int) -> list[tuple[str, float]]:
        """Return the best documents of one query, by any of its words."""
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query))
        score = f"bm25(shop, 0, {self.title_weight}, 1)"  # the best is the lowest
        sql = f"select id, -{score} from shop where shop match ? order by {score}, id desc limit ?"
        return self.db.execute(sql, (words, k)).fetchall()
