"""Committed baselines: read them, find the one of a case, and merge new ones."""

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
from touchstone.records.outcomes import Measurement
from touchstone.records.runs import Record
from touchstone.records.samples import MAX_SAMPLES_BYTES, Samples, read_samples
from touchstone.records.strangers import find_fault_of_baselines
from touchstone.store.folder import Store

REWRITE_ADVICE = "write it anew with --baseline update, or if it is an anchor's, touchstone baselines anchor --move"
# Libraries whose versions a recorded number depends on; the rest of the environment is in the run record.
ENV_NAMES = ("mteb", "torch", "scikit-learn", "numpy")
# Suffix of the name of a file of samples.
CONTENT_SUFFIX = re.compile(r"\.[0-9a-f]{12}\.parquet$")
# Folder of the package, in a checkout below `evals/`.
HOME = Path(__file__).parent.parent


def built_in_folder() -> Path:
    """Return the folder of the baselines that come with the package: in the wheel, or in a checkout."""
    packaged = HOME / "data" / "baselines"
    return packaged if packaged.is_dir() else HOME.parent.parent / "baselines"


def load_baseline_file(path: Path) -> BaselineFile:
    """Read one ``<alias>.json``.

    Raises:
        BaselineError: the file is not a valid baseline file; names the file and the place.
    """
    return read_baseline_file(read_bytes(path, BaselineError), str(path))


def render_baseline_file(content: BaselineFile) -> str:
    """Return the file's text: the same bytes for the same content."""
    return to_json(flatten(content))


class Baselines:
    """The baselines of a project: its own folder over the built-in one, by alias and task.

    Only the project's folder is ever written; it need not exist.
    """

    def __init__(self, folder: Path, built_in: Path | None = None) -> None:
        self.folder = folder
        self.built_in = built_in or built_in_folder()
        self._files: dict[Path, BaselineFile | None] = {}
        self._staging: Path | None = None

    def aliases(self) -> list[str]:
        """Return the aliases of all models with baselines."""
        return _aliases_in(self.folder, self.built_in)

    def own_aliases(self) -> list[str]:
        """Return the aliases of the models with baselines in the project's own folder."""
        return _aliases_in(self.folder)

    def aliases_with(self, key: str) -> list[str]:
        """Return the aliases whose files in the project's own folder have a case."""
        files = {alias: self._load(_file(self.folder, alias)) for alias in self.own_aliases()}
        return [alias for alias, file in files.items() if file is not None and key in file.tasks]

    def find(self, alias: str, key: str) -> Reference | None:
        """Return the reference of a case, or None if there is no baseline."""
        for folder in (self.folder, self.built_in):
            file = self._load(_file(folder, alias))
            if file is not None and key in file.tasks:
                return _refer(folder, file, alias=alias, key=key)
        return None

    def load_samples(self, reference: Reference) -> Samples | None:
        """Read the samples of a baseline; None if it has no samples.

        Raises:
            BaselineError: the samples are missing, or are not those that were recorded with the baseline.
        """
        self.check_samples(reference)
        return None if reference.samples is None else read_samples(reference.samples)

    def check_samples(self, reference: Reference) -> None:
        """Refuse a baseline whose samples are missing, or are not those that were recorded with it.

        Raises:
            BaselineError: names the file.
        """
        path = reference.samples
        if path is None:
            return
        if not path.is_file():
            raise BaselineError(f"{path}: no such file, though {reference.alias}.json names it; {REWRITE_ADVICE}")
        content = read_bytes(path, BaselineError, max_bytes=MAX_SAMPLES_BYTES)
        if hashlib.sha256(content).hexdigest() != reference.baseline.samples:
            raise BaselineError(f"{path}: is not the file recorded with {reference.alias}.json; {REWRITE_ADVICE}")

    def entries(self, alias: str) -> dict[str, Reference]:
        """Return all references of a model by key, sorted."""
        keys: set[str] = set()
        for folder in (self.folder, self.built_in):
            file = self._load(_file(folder, alias))
            keys |= set(file.tasks) if file is not None else set()
        return {key: reference for key in sorted(keys) if (reference := self.find(alias, key)) is not None}

    def find_other_name(self, alias: str, task: str, measurement: Measurement) -> str | None:
        """Return the key under which a task without an entry seems to be recorded, None if there is no such entry.

        Its name differs by case alone, or it has the same metric on the same data; its limit is the same.
        """
        key, data, metric = baseline_key(task, measurement.limit), measurement.data_sha256, measurement.metric
        entries = {name: one.baseline for name, one in self.entries(alias).items()}
        same = [name for name in entries if name.lower() == key.lower()]
        same += [
            name for name, entry in entries.items() if data is not None
            and (entry.data_sha256, entry.metric, entry.limit) == (data, metric, measurement.limit)
        ]  # fmt: skip
        return next(iter(same), None)

    def anchor_moves(self, alias: str) -> dict[str, str]:
        """Return when and why a model's anchors were moved, by key."""
        files = (self._load(_file(folder, alias)) for folder in (self.built_in, self.folder))
        return {key: note for file in files if file is not None for key, note in file.moved.items()}

    def require_alias(self, alias: str, option: str) -> None:
        """Refuse an alias without any baseline.

        Raises:
            BaselineError: names the nearest alias with baselines.
        """
        if alias not in (aliases := self.aliases()):
            near = suggest(alias, aliases)
            raise BaselineError(f'{option} = "{alias}": no {alias}.json in {self.folder}{near}')

    def has_own(self, alias: str, key: str) -> bool:
        """Return True if the project's own folder has an entry, whatever the built-in one has."""
        file = self._load(_file(self.folder, alias))
        return file is not None and key in file.tasks

    def write(self, records: Iterable[Record], env: Mapping[str, str], store: Store) -> list[Path]:
        """Write measured records as baselines, each to its alias's file, leaving all other entries as they are.

        Args:
            records: records of measured cases.
            env: versions of the libraries of the run.
            store: the store with the samples of the records, which are copied beside the baselines.

        Returns:
            The files whose content changed.

        Raises:
            BaselineError: a record has lost its samples, the file is damaged, or nothing can be written.
        """
        by_alias: dict[str, list[Record]] = {}
        for record in records:
            by_alias.setdefault(record.alias, []).append(record)
        contents = {alias: take_records(group, env, store) for alias, group in by_alias.items()}
        if not contents:
            return []
        with self.writing(store.folder):
            paths = []
            for alias, (entries, samples) in contents.items():
                record = by_alias[alias][0]
                new = BaselineFile(model=record.model or alias, revision=record.revision, tasks=entries)
                paths.append(self.commit(alias, self.merge(alias, new, replace_recorded=True), samples))
        return [path for path in paths if path is not None]

    def move_anchors(self, alias: str, pattern: str, *, reason: str) -> dict[str, Reference]:
        """Make entries of the project's own folder their own anchors, which nothing else does.

        Args:
            alias: the model of the entries.
            pattern: a pattern of their tasks or keys, with ``*`` and ``?``.
            reason: why the anchors move.

        Returns:
            The earlier references by key; an entry without an anchor does not change.

        Raises:
            BaselineError: no entry matches, there is no reason, or nothing can be written.
        """
        path = _file(self.folder, alias)
        if not REASON.fullmatch(reason):
            raise BaselineError(
                f'--reason = "{reason}"; expected why the anchor moves, one line of 1 to 200 characters'
            )
        if not path.is_file():
            near = suggest(alias, (file.stem for file in self.folder.glob("*.json")))
            raise BaselineError(f'--move = "{alias}": no {alias}.json in {self.folder}{near}')
        with self.writing():
            file = load_baseline_file(path)
            keys = [key for key in file.tasks if _matches(key, pattern)]
            references = {key: reference for key, reference in self.entries(alias).items() if key in keys}
            if not references:
                raise BaselineError(f'--task = "{pattern}": {path} has no such entry{suggest(pattern, file.tasks)}')
            anchored = [key for key, reference in references.items() if reference.anchor is not None]
            if anchored:
                content = move_anchors(file, anchored, f"{_today()}: {reason}")
                self.commit(alias, Merge(content=content, fates={}), {})
        return references

    @contextmanager
    def writing(self, staging: Path | None = None) -> Iterator[None]:
        """Lock the project's folder against other processes, and read it anew.

        Args:
            staging: a folder for temporary files, so that a killed process leaves none in a committed folder.

        Raises:
            BaselineError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder):
                self._files.clear()
                self._staging = staging
                yield
        except OSError as error:
            raise BaselineError(f"{self.folder}: cannot be written: {error.strerror or error}") from error

    def merge(self, alias: str, new: BaselineFile, *, replace_recorded: bool) -> Merge:
        """Return an alias's file with new entries merged in; write nothing.

        Raises:
            BaselineError: the file is damaged, or would pass one model's numbers off as another's.
        """
        path = _file(self.folder, alias)
        return merge_files(self._load(path), new, str(path), replace_recorded=replace_recorded)

    def commit(self, alias: str, merge: Merge, samples: Mapping[str, bytes]) -> Path | None:
        """Write the samples of the merged entries, and then the file.

        Args:
            alias: the model of the file.
            merge: the new content of the file, from `merge`.
            samples: content of the samples of new entries, by key.

        Returns:
            The file if its content changed, else None.

        Raises:
            BaselineError: the file could not be read again, or would lie elsewhere.
        """
        if (fault := find_fault_of_baselines(merge.content)) is not None:
            raise BaselineError(f"{alias}: {fault}, and was not written")
        path, folder = _file(self.folder, alias), join_inside(self.folder, Path("samples", alias), BaselineError)
        for key in merge.keys("new", "changed", "same"):
            if key in samples:
                name = samples_file(key, hashlib.sha256(samples[key]).hexdigest())
                file = join_inside(self.folder, Path("samples", alias, name), BaselineError)
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


def _aliases_in(*folders: Path) -> list[str]:
    return sorted(filter(NAME.fullmatch, {file.stem for folder in folders for file in folder.glob("*.json")}))


def _file(folder: Path, alias: str) -> Path:
    """Return the file of an alias, which must be a valid one."""
    if not NAME.fullmatch(alias):
        raise BaselineError(f'"{alias}" is no alias with baselines; one has only {SIGNS}')
    return join_inside(folder, f"{alias}.json", BaselineError)


def _refer(folder: Path, file: BaselineFile, *, alias: str, key: str) -> Reference:
    def of(entry: Baseline, anchor: Reference | None = None) -> Reference:
        inside = Path("samples", alias, samples_file(key, entry.samples or ""))
        samples = join_inside(folder, inside, BaselineError) if entry.samples else None
        reference = Reference(alias=alias, model=file.model, revision=file.revision, baseline=entry)
        return replace(reference, samples=samples, anchor=anchor)

    return of(file.tasks[key], of(file.anchors[key]) if key in file.anchors else None)


def _matches(key: str, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (key, key.partition("?")[0]))


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _remove_others(folder: Path, names: Container[str]) -> None:
    """Remove samples that no baseline names: replaced ones, and those that a killed process left."""
    for path in folder.glob("*.parquet*"):
        if path.name not in names and (path.name.startswith(".") or CONTENT_SUFFIX.search(path.name)):
            path.unlink(missing_ok=True)


def make_baseline(record: Record, env: Mapping[str, str]) -> Baseline:
    """Turn a measured record into an entry.

    Raises:
        BaselineError: the record was not measured.
    """
    if record.measurement is None or not record.measurement.subsets:
        raise BaselineError(f"{record.case} was not measured and cannot become a baseline")
    return Baseline(
        measurement=replace(record.measurement, chance=None, recomputed=None),  # which are not in the file
        source="run",
        env={name: env[name] for name in ENV_NAMES if name in env},
        recorded=_today(),
        gated=record.terms.gated if record.terms else None,
        plan=record.terms.plan if record.terms else None,
    )


def take_records(
    records: Iterable[Record], env: Mapping[str, str], store: Store
) -> tuple[dict[str, Baseline], dict[str, bytes]]:
    """Return measured records as entries, and the content of their samples, both by key.

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
