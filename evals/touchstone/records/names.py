"""Names that are made of others: marks, keys of baselines, files; and former names of tasks."""

import hashlib
import re

# Aliases and tasks, which become names of files and pytest ids; revisions of a repository; files of samples.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
SIGNS = "A-Z a-z 0-9 _ and, not first, . + -"
REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/+-]{0,127}")
# Prefix of the hash of a user's code, in the revision of data that such code has loaded.
CODE = "code-"
SHA256 = re.compile(r"[0-9a-f]{64}")
# The reason why an anchor was moved, in one line; and the reason with its day.
REASON = re.compile(r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,200}")
ANCHOR_MOVE = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}: {REASON.pattern}")
SAMPLES = re.compile(r"samples/[0-9a-f]+/[A-Za-z0-9._@-]+\.[0-9a-f]{12}\.blob")

# mteb has the first five in a private module, and the last where it does not use it.
RENAMED_TASKS = {
    "8TagsClustering": "EightTagsClustering",
    "CMedQAv1": "CMedQAv1-reranking",
    "CMedQAv2": "CMedQAv2-reranking",
    "NorwegianParliament": "NorwegianParliamentClassification",
    "PPC": "PpcPC",
    "PersianTextTone": "SynPerTextToneClassification",
}


def slug(text: str, *, also: str = "") -> str:
    """Return text as a part of an alias: other characters than those of aliases and ``also`` become a dash."""
    return re.sub(rf"[^A-Za-z0-9._{re.escape(also)}-]+", "-", text).strip("-")


def snake_case(type_name: str) -> str:
    """Return a task type of mteb's as a pytest mark: ``STS`` is ``sts``, ``BitextMining`` is ``bitext_mining``."""
    if type_name.isupper():
        return type_name.lower()
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in type_name).lstrip("_")


def name_unit(*parts: str) -> str:
    """Return the name of a unit that samples share: a text, a document, a row; texts have the same in each task."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def baseline_key(task: str, limit: int | None) -> str:
    """Return the key of an entry in a baseline file: ``NFCorpus`` or ``NFCorpus?limit=100``."""
    return task if limit is None else f"{task}?limit={limit}"


def samples_file(key: str, sha256: str) -> str:
    """Return the name of a file of samples, by key and content; a question mark is replaced for file systems.

    Other samples of the same case have another name, so that a file that a baseline names never changes.
    """
    return f"{key.replace('?', '@')}.{sha256[:12]}.parquet"
