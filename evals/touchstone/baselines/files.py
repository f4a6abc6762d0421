"""Committed expectations: read them, find the one for a case, and merge new ones in."""

import hashlib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from touchstone.baselines.merging import Merge, merge_files, move_anchors
from touchstone.errors import BaselineError, suggest
from touchstone.files.inside import join_inside
from touchstone.files.locking import locked
from touchstone.files.writing import read_bytes, to_json, write_atomically
from touchstone.records.baselines import Baseline, BaselineFile, Reference
from touchstone.records.flat import flatten, read_baseline_file
from touchstone.records.names import NAME, REASON, SIGNS, baseline_key, samples_file
from touchstone.records.runs import Record
from touchstone.records.samples import LARGEST_SAMPLES, Samples, read_samples
from touchstone.records.strangers import find_fault_of_baselines
from touchstone.store.folder import Store

REWRITE_ADVICE = "write it anew with --baseline update, or if it is an anchor's, touchstone baselines anchor --move"
# The versions that a recorded number depends on; the rest of the environment is in the run record.
ENV_KEPT = ("mteb", "torch", "scikit-learn", "numpy")
# How the name of a file of samples ends.
OF_CONTENT = re.compile(r"\.[0-9a-f]{12}\.parquet$")
# Folder of the package, in a checkout below `evals/`.
HOME = Path(__file__).parent.parent


def built_in_folder() -> Path:
    """Return the folder of the baselines that come with the package: in the wheel, or in a checkout."""
    packaged = HOME / "data" / "baselines"
    return packaged if packaged.is_dir() else HOME.parent.parent / "baselines"


def load_baseline_file(path: Path) -> BaselineFile:
    """Read one ``<alias>.json``.

    Raises:
        BaselineError: the file is not what a baseline file must be; names the file and the place.
    """
    return read_baseline_file(read_bytes(path, BaselineError), str(path))


def render_baseline_file(content: BaselineFile) -> str:
    """Return the file's text: the same bytes for the same content."""
    return to_json(flatten(content))


class Baselines:
    """The baselines a project sees: its own folder over the built-in one, per alias and task.

    Only the own folder is ever written. It need not exist.
    """

    def __init__(self, own: Path, built_in: Path | None = None) -> None:
        self.own = own
        self.built_in = built_in or built_in_folder()
        self._files: dict[Path, BaselineFile | None] = {}
        self._staging: Path | None = None

    def aliases(self) -> list[str]:
        """Name every model that has a baseline."""
        found = {file.stem for folder in (self.own, self.built_in) for file in folder.glob("*.json")}
        return sorted(filter(NAME.fullmatch, found))

    def find(self, alias: str, key: str) -> Reference | None:
        """Return what is expected of a case, or None where nobody has recorded it."""
        for folder in (self.own, self.built_in):
            file = self._load(_file(folder, alias))
            if file is not None and key in file.tasks:
                return _refer(folder, file, alias=alias, key=key)
        return None

    def load_samples(self, reference: Reference) -> Samples | None:
        """Read the samples of a baseline; None where it has none.

        Raises:
            BaselineError: they are not there, or are not those that were recorded with it.
        """
        self.check_samples(reference)
        return None if reference.samples is None else read_samples(reference.samples)

    def check_samples(self, reference: Reference) -> None:
        """Refuse a baseline whose samples are not there, or are not those that were recorded with it.

        Raises:
            BaselineError: naming the file.
        """
        path = reference.samples
        if path is None:
            return
        if not path.is_file():
            raise BaselineError(f"{path}: no such file, though {reference.alias}.json names it; {REWRITE_ADVICE}")
        if (
            hashlib.sha256(read_bytes(path, BaselineError, max_bytes=LARGEST_SAMPLES)).hexdigest()
            != reference.baseline.samples
        ):
            raise BaselineError(f"{path}: is not the file recorded with {reference.alias}.json; {REWRITE_ADVICE}")

    def entries(self, alias: str) -> dict[str, Reference]:
        """Return all that is expected of a model, by key, sorted."""
        keys: set[str] = set()
        for folder in (self.own, self.built_in):
            file = self._load(_file(folder, alias))
            keys |= set(file.tasks) if file is not None else set()
        return {key: found for key in sorted(keys) if (found := self.find(alias, key)) is not None}

    def moved(self, alias: str) -> dict[str, str]:
        """Say when and why a model's anchors were moved, by key."""
        files = (self._load(_file(folder, alias)) for folder in (self.built_in, self.own))
        return {key: said for file in files if file is not None for key, said in file.moved.items()}

    def require_alias(self, alias: str, option: str) -> None:
        """Refuse an alias that has no baseline at all.

        Raises:
            BaselineError: naming the nearest one that has.
        """
        if alias not in self.aliases():
            raise BaselineError(f'{option} = "{alias}": no {alias}.json in {self.own}{suggest(alias, self.aliases())}')

    def has_own(self, alias: str, key: str) -> bool:
        """Return True if the project's own folder holds an entry, whatever the built-in one has."""
        file = self._load(_file(self.own, alias))
        return file is not None and key in file.tasks

    def write(self, records: Iterable[Record], env: Mapping[str, str], store: Store) -> list[Path]:
        """Write measured records as baselines, each to its alias's file, leaving all other entries as they are.

        Args:
            records: of cases that were measured.
            env: versions of the libraries that measured.
            store: has the samples of the records; they are copied beside the baselines.

        Returns:
            The files whose content changed.

        Raises:
            BaselineError: a record has lost its samples, the file is damaged, or nothing can be written.
        """
        by_alias: dict[str, list[Record]] = {}
        for record in records:
            by_alias.setdefault(record.alias, []).append(record)
        taken = {alias: take_records(group, env, store) for alias, group in by_alias.items()}
        if not taken:
            return []
        with self.writing(store.folder):
            written = []
            for alias, (entries, samples) in taken.items():
                first = by_alias[alias][0]
                new = BaselineFile(model=first.model or alias, revision=first.revision, tasks=entries)
                written.append(self.commit(alias, self.merge(alias, new, replace_recorded=True), samples))
        return [path for path in written if path is not None]

    def move_anchors(self, alias: str, pattern: str, *, reason: str) -> dict[str, Reference]:
        """Make entries of the project's own their own anchors, which nothing else does.

        Args:
            alias: whose.
            pattern: of their tasks or keys, with ``*`` and ``?``.
            reason: why.

        Returns:
            What is expected by key, as it was before; nothing moved where there was no anchor.

        Raises:
            BaselineError: no entry matches, there is no reason, or nothing can be written.
        """
        path = _file(self.own, alias)
        if not REASON.fullmatch(reason):
            raise BaselineError(
                f'--reason = "{reason}"; expected why the anchor moves, one line of 1 to 200 characters'
            )
        if not path.is_file():
            near = suggest(alias, (file.stem for file in self.own.glob("*.json")))
            raise BaselineError(f'--move = "{alias}": no {alias}.json in {self.own}{near}')
        with self.writing():
            file = load_baseline_file(path)
            found = {k: one for k, one in self.entries(alias).items() if k in file.tasks and _matches(k, pattern)}
            if not found:
                raise BaselineError(f'--task = "{pattern}": {path} has no such entry{suggest(pattern, file.tasks)}')
            keys = [key for key, one in found.items() if one.anchor is not None]
            if keys:
                content = move_anchors(file, keys, f"{_today()}: {reason}")
                self.commit(alias, Merge(content=content, fates={}), {})
        return found

    @contextmanager
    def writing(self, staging: Path | None = None) -> Iterator[None]:
        """Let no other process write baselines here meanwhile, and take in what others wrote before.

        Args:
            staging: a folder for what is half written, so that a killed process leaves nothing in a committed one.

        Raises:
            BaselineError: nothing can be written there.
        """
        try:
            self.own.mkdir(parents=True, exist_ok=True)
            with locked(self.own):
                self._files.clear()
                self._staging = staging
                yield
        except OSError as error:
            raise BaselineError(f"{self.own}: cannot be written: {error.strerror}") from error

    def merge(self, alias: str, new: BaselineFile, *, replace_recorded: bool) -> Merge:
        """Work out what an alias's file becomes with new entries; write nothing.

        Raises:
            BaselineError: the file is damaged, or would pass one model's numbers off as another's.
        """
        path = _file(self.own, alias)
        return merge_files(self._load(path), new, str(path), replace_recorded=replace_recorded)

    def commit(self, alias: str, merge: Merge, samples: Mapping[str, bytes]) -> Path | None:
        """Write what `merge` worked out, and before it the samples of the entries that it takes.

        Args:
            alias: whose file.
            merge: what it becomes.
            samples: by key, of the new entries that have some.

        Returns:
            The file, where its content changed.

        Raises:
            BaselineError: it could not be read again, or would lie elsewhere.
        """
        if (fault := find_fault_of_baselines(merge.content)) is not None:
            raise BaselineError(f"{alias}: {fault}, and was not written")
        path, folder = _file(self.own, alias), join_inside(self.own, Path("samples", alias), BaselineError)
        for key in merge.keys("new", "changed", "same"):
            if key in samples:
                named = samples_file(key, hashlib.sha256(samples[key]).hexdigest())
                file = join_inside(self.own, Path("samples", alias, named), BaselineError)
                if not file.is_file() or file.read_bytes() != samples[key]:
                    write_atomically(file, samples[key], self._staging)
        text = render_baseline_file(merge.content)
        changed = not path.is_file() or path.read_bytes() != text.encode()
        if changed:
            write_atomically(path, text, self._staging)
            self._files[path] = merge.content
        entries = (*merge.content.tasks.items(), *merge.content.anchors.items())
        _remove_others(folder, {samples_file(key, entry.samples or "") for key, entry in entries})
        return path if changed else None

    def _load(self, path: Path) -> BaselineFile | None:
        if path not in self._files:
            self._files[path] = load_baseline_file(path) if path.is_file() else None
        return self._files[path]


def _file(folder: Path, alias: str) -> Path:
    """Return the file of an alias, which must be one that a case can have."""
    if not NAME.fullmatch(alias):
        raise BaselineError(f'"{alias}" is no alias with baselines; one has only {SIGNS}')
    return join_inside(folder, f"{alias}.json", BaselineError)


def _refer(folder: Path, file: BaselineFile, *, alias: str, key: str) -> Reference:
    def of(entry: Baseline, anchor: Reference | None = None) -> Reference:
        inside = Path("samples", alias, samples_file(key, entry.samples or ""))
        samples = join_inside(folder, inside, BaselineError) if entry.samples else None
        known = Reference(alias=alias, model=file.model, revision=file.revision, baseline=entry)
        return replace(known, samples=samples, anchor=anchor)

    return of(file.tasks[key], of(file.anchors[key]) if key in file.anchors else None)


def _matches(key: str, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (key, key.partition("?")[0]))


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _remove_others(folder: Path, named: Container[str]) -> None:
    """Remove samples that no baseline names any more, and those that a killed process wrote without naming them."""
    for path in folder.glob("*.parquet*"):
        if path.name not in named and (path.name.startswith(".") or OF_CONTENT.search(path.name)):
            path.unlink(missing_ok=True)


def make_baseline(record: Record, env: Mapping[str, str]) -> Baseline:
    """Turn a measured record into an entry.

    Raises:
        BaselineError: the record was not measured.
    """
    if record.measurement is None or not record.measurement.subsets:
        raise BaselineError(f"{record.case} was not measured and cannot become a baseline")
    return Baseline(
        measurement=replace(record.measurement, chance=None, recomputed=None),  # as it is read back
        source="run",
        env={name: env[name] for name in ENV_KEPT if name in env},
        recorded=_today(),
        gated=record.terms.gated if record.terms else None,
        plan=record.terms.plan if record.terms else None,
    )


def take_records(
    records: Iterable[Record], env: Mapping[str, str], store: Store
) -> tuple[dict[str, Baseline], dict[str, bytes]]:
    """Turn measured records into entries and the content of their samples, where they have some, both by key.

    Raises:
        BaselineError: a record was not measured, or the store has lost its samples.
    """
    entries, samples = {}, {}
    for record in records:
        key, entry = baseline_key(record.task, record.limit), make_baseline(record, env)
        if record.samples is not None:
            content = store.read_samples(record.samples)
            if content is None:
                raise BaselineError(f"{record.case}: its samples {record.samples} are not in {store.folder} any more")
            samples[key] = content
            entry = replace(entry, samples=hashlib.sha256(content).hexdigest())
        entries[key] = entry
    return entries, samples
