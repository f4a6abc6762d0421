"""Names made of others: marks, keys of baselines, files; and names that tasks had before."""

import hashlib
import re

# Aliases and tasks, which become names of files and pytest ids; revisions of a repository; files of samples.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
SIGNS = "A-Z a-z 0-9 _ and, not first, . + -"
REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/+-]{0,127}")
# What stands before the hash of the user's own code, in the revision of data that such code has loaded.
CODE = "code-"
SHA256 = re.compile(r"[0-9a-f]{64}")
# Why an anchor was moved: one line; and that with its day.
REASON = re.compile(r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,200}")
MOVED = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}: {REASON.pattern}")
SAMPLES = re.compile(r"samples/[0-9a-f]+/[A-Za-z0-9._@-]+\.[0-9a-f]{12}\.blob")

# mteb keeps the first five in a module that is not its interface, and the last where it does not act on it.
RENAMED_TASKS = {
    "8TagsClustering": "EightTagsClustering",
    "CMedQAv1": "CMedQAv1-reranking",
    "CMedQAv2": "CMedQAv2-reranking",
    "NorwegianParliament": "NorwegianParliamentClassification",
    "PPC": "PpcPC",
    "PersianTextTone": "SynPerTextToneClassification",
}


def slug(text: str, *, also: str = "") -> str:
    """Return text as a part of an alias: what aliases cannot hold becomes a dash; ``also`` is kept too."""
    return re.sub(rf"[^A-Za-z0-9._{re.escape(also)}-]+", "-", text).strip("-")


def snake_case(type_name: str) -> str:
    """Spell an mteb task type as a pytest mark: ``STS`` is ``sts``, ``BitextMining`` is ``bitext_mining``."""
    if type_name.isupper():
        return type_name.lower()
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in type_name).lstrip("_")


def name_unit(*parts: str) -> str:
    """Return the name of what samples share: a text, a document, a row; that of a text is the same in every task."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def baseline_key(task: str, limit: int | None) -> str:
    """Name an entry of a baseline file: ``NFCorpus`` or ``NFCorpus?limit=100``."""
    return task if limit is None else f"{task}?limit={limit}"


def samples_file(key: str, sha256: str) -> str:
    """Name the file of a case's samples by their content: a key may hold a question mark, which file systems may not.

    Others of the same case have another name, so that no file is ever changed that a baseline names.
    """
    return f"{key.replace('?', '@')}.{sha256[:12]}.parquet"
