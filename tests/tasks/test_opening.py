"""Opening a task: its data from the source asked for, the rows that are in the files now, and nothing else."""

import gzip
import io
import json
import lzma
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mteb.abstasks import AbsTask

from touchstone.config.suites import Selection
from touchstone.errors import SourceError
from touchstone.files.archives import find_climbing
from touchstone.foreign import one_line
from touchstone.records.cases import Source, TaskInfo
from touchstone.store.folder import Store
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.opening import open_task

ARTICLES = Path(__file__).parent.parent.parent / "evals" / "touchstone" / "data" / "articles"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def task(name: str, **narrowed: tuple[str, ...]) -> TaskInfo:
    (info,) = find_tasks(Selection(include=(name,)), "test")
    return replace(info, **narrowed)  # type: ignore[arg-type]


def copy_of(mirror: Path, folder: Path, data_set: str) -> Source:
    shutil.copytree(mirror / data_set, folder / data_set)
    return Source(kind="mirror", path=folder)


def edit_first_row(path: Path, **changes: Any) -> None:
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    rows[0] |= changes
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def rows_of(info: TaskInfo, source: Source, store: Store, limit: int | None = None) -> Any:
    with open_task(info, source, store, limit=limit) as opened:
        return opened.task.dataset


def hash_of(info: TaskInfo, source: Source, store: Store) -> str | None:
    with open_task(info, source, store) as opened:
        return opened.data_sha256


def test_edited_file_of_a_mirror_never_gives_the_old_rows(mirror: Path, tmp_path: Path, store: Store) -> None:
    source = copy_of(mirror, tmp_path / "hub", "mteb/biosses-sts")
    first, known = rows_of(task("BIOSSES"), source, store)["test"][0], hash_of(task("BIOSSES"), source, store)
    edit_first_row(tmp_path / "hub" / "mteb" / "biosses-sts" / "test.jsonl.gz", sentence1="Something else.")
    again = rows_of(task("BIOSSES"), source, store)["test"][0]
    assert again["sentence1"] == "Something else." != first["sentence1"]
    assert hash_of(task("BIOSSES"), source, store) != known


def test_another_mirror_with_the_same_names_gives_its_own_rows(mirror: Path, tmp_path: Path, store: Store) -> None:
    one = copy_of(mirror, tmp_path / "one", "mteb/biosses-sts")
    two = copy_of(mirror, tmp_path / "two", "mteb/biosses-sts")
    edit_first_row(tmp_path / "two" / "mteb" / "biosses-sts" / "test.jsonl.gz", score=0.125)
    scores = [rows_of(task("BIOSSES"), source, store)["test"][0]["score"] for source in (one, two)]
    assert scores[0] != scores[1] == 0.125


def test_hash_covers_the_files_that_were_read_and_no_others(mirror: Path, tmp_path: Path, store: Store) -> None:
    source = copy_of(mirror, tmp_path / "hub", "mteb/XQuADRetrieval")
    folder = tmp_path / "hub" / "mteb" / "XQuADRetrieval"
    info = task("XQuADRetrieval", subsets=("en",))
    before = hash_of(info, source, store)
    (folder / "de" / "queries" / "validation.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    assert hash_of(info, source, store) == before
    edit_first_row(folder / "en" / "queries" / "validation.jsonl.gz", text="What else?")
    assert hash_of(info, source, store) != before


def test_data_set_that_the_mirror_lacks_says_how_to_fetch_it(tmp_path: Path, store: Store) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    with pytest.raises(SourceError) as caught:
        rows_of(task("NFCorpus"), Source(kind="mirror", path=hub), store)
    assert str(caught.value) == (
        f'mirror {hub} has no data set "mteb/nfcorpus" (needed by NFCorpus); fetch it with: '
        f"hf download --repo-type dataset mteb/nfcorpus --local-dir {hub}/mteb/nfcorpus"
    )


def test_subset_that_the_mirror_lacks_is_an_error_and_not_another_score(mirror: Path, store: Store) -> None:
    with pytest.raises(SourceError, match=r'no readable data set "mteb/XQuADRetrieval" for XQuADRetrieval: '):
        rows_of(task("XQuADRetrieval", subsets=("en", "el")), Source(kind="mirror", path=mirror), store)


def test_language_that_a_table_of_all_languages_lacks_is_an_error(mirror: Path, store: Store) -> None:
    with pytest.raises(SourceError, match='the data set of Tatoeba has no split "test" for its subset "ell-eng"'):
        rows_of(task("Tatoeba", subsets=("deu-eng", "ell-eng")), Source(kind="mirror", path=mirror), store)


def test_offline_hub_without_a_cache_is_one_sentence(store: Store) -> None:
    with pytest.raises(SourceError, match=r'^"mteb/nfcorpus" is not in the cache, or not all of it, and the run is'):
        rows_of(task("NFCorpus"), Source(), store)


def test_each_opening_is_a_fresh_task(mirror: Path, store: Store) -> None:
    """A clustering task of mteb's changes when it is evaluated: its generator has moved on."""
    source = Source(kind="mirror", path=mirror)
    info = task("SIB200ClusteringS2S", subsets=("eng_Latn",))
    with open_task(info, source, store) as one, open_task(info, source, store) as two:
        assert one.task is not two.task


def test_limit_keeps_the_same_rows_whatever_their_order(mirror: Path, tmp_path: Path, store: Store) -> None:
    source = copy_of(mirror, tmp_path / "hub", "mteb/biosses-sts")
    path = tmp_path / "hub" / "mteb" / "biosses-sts" / "test.jsonl.gz"
    first = {row["sentence1"] for row in rows_of(task("BIOSSES"), source, store, 10)["test"]}
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(reversed(lines))))
    again = rows_of(task("BIOSSES"), source, store, 10)["test"]
    assert len(again) == 10
    assert {row["sentence1"] for row in again} == first


def test_smaller_limit_keeps_a_part_of_a_larger_one_and_all_training_rows(mirror: Path, store: Store) -> None:
    source = Source(kind="mirror", path=mirror)
    small, large = (rows_of(task("Banking77Classification"), source, store, limit) for limit in (5, 50))
    assert len(small["test"]) == 5
    assert set(small["test"]["text"]) < set(large["test"]["text"])
    assert len(small["train"]) == len(large["train"]) == 10003


def test_limited_retrieval_keeps_judged_documents_and_a_hundred_others_a_query(mirror: Path, store: Store) -> None:
    info = task("XQuADRetrieval", subsets=("en",))
    data = rows_of(info, Source(kind="mirror", path=mirror), store, 1)["en"]["validation"]
    judged = {document for found in data["relevant_docs"].values() for document in found}
    assert len(data["queries"]) == len(data["relevant_docs"]) == 1
    assert judged <= set(data["corpus"]["id"])
    assert len(data["corpus"]) == 100 + len(judged)


def test_limited_reranking_keeps_every_candidate(store: Store) -> None:
    info = TaskInfo(name="Mine", type="Reranking", main_score="map_at_1000", languages=("eng-Latn",), folder=ARTICLES)
    data = rows_of(info, Source(), store, 4)["default"]["test"]
    candidates = {document for found in data["top_ranked"].values() for document in found}
    assert len(data["queries"]) == len(data["top_ranked"]) == 4
    assert set(data["corpus"]["id"]) == candidates


@pytest.mark.parametrize("back", [False, True])
def test_data_that_changes_while_it_is_read_is_not_prepared_under_the_name_of_what_it_was(
    mirror: Path, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """What the library prepares is kept by content: a later run would read other rows where that is again in place."""
    import datasets

    source, info = copy_of(mirror, tmp_path / "hub", "mteb/biosses-sts"), task("BIOSSES")
    file, prepare = (
        tmp_path / "hub" / "mteb/biosses-sts" / "test.jsonl.gz",
        datasets.DatasetBuilder.download_and_prepare,
    )
    own = file.read_bytes()

    def change_and_prepare(*args: Any, **kwargs: Any) -> None:
        edit_first_row(file, sentence1="Something else.")
        prepare(*args, **kwargs)
        if back:
            file.write_bytes(own)

    with monkeypatch.context() as patched:
        patched.setattr(datasets.DatasetBuilder, "download_and_prepare", change_and_prepare)
        with pytest.raises(SourceError, match=r"test.jsonl.gz changed while BIOSSES was measured"):
            rows_of(info, source, store)
    before = file.stat()
    file.write_bytes(own)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rows_of(info, source, store)["test"][0]["sentence1"] != "Something else."


def test_what_was_prepared_of_data_that_changed_meanwhile_is_not_read_again(
    mirror: Path, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy_of(mirror, tmp_path / "hub", "mteb/biosses-sts")
    file = tmp_path / "hub" / "mteb" / "biosses-sts" / "test.jsonl.gz"
    own, load = file.read_bytes(), AbsTask.load_data
    right = rows_of(task("BIOSSES"), source, Store(tmp_path / "other"))["test"][0]["score"]

    def changing(self: AbsTask, **more: Any) -> None:
        edit_first_row(file, score=0.125)
        load(self, **more)
        file.write_bytes(own)

    with monkeypatch.context() as patched:
        patched.setattr(AbsTask, "load_data", changing)
        with pytest.raises(SourceError, match="changed while BIOSSES was measured"):
            rows_of(task("BIOSSES"), source, store)
    assert rows_of(task("BIOSSES"), source, store)["test"][0]["score"] == right


def prepared(store: Store, pattern: str = "*.arrow") -> list[Path]:
    return sorted(store.folder.glob(f"data/**/{pattern}"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Any] = {
    "a changed byte": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-8]),
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", ["*-test.arrow", "dataset_info.json", ".whole"])
def test_prepared_data_that_is_damaged_is_made_anew_once(mirror: Path, store: Store, damage: str, pattern: str) -> None:
    source = Source(kind="mirror", path=mirror)
    first, known = rows_of(task("BIOSSES"), source, store)["test"][:], hash_of(task("BIOSSES"), source, store)
    (file,) = prepared(store, pattern)
    DAMAGES[damage](file)
    again = Store(store.folder)
    assert rows_of(task("BIOSSES"), source, again)["test"][:] == first
    assert hash_of(task("BIOSSES"), source, again) == known
    (anew,) = prepared(store, pattern)
    assert anew.parent != file.parent
    rows_of(task("BIOSSES"), source, Store(store.folder))
    assert prepared(store, pattern) == [anew]


def test_prepared_data_that_changes_while_it_is_measured_is_an_error(mirror: Path, store: Store) -> None:
    source = Source(kind="mirror", path=mirror)
    for _ in range(2):  # what was just made, and what was there
        with open_task(task("BIOSSES"), source, store) as opened:
            (file,) = prepared(store)
            flip(file)
            with pytest.raises(SourceError, match=r"arrow, prepared for BIOSSES, changed while it was measured"):
                opened.check_unchanged()
    with open_task(task("BIOSSES"), source, store) as opened:
        opened.check_unchanged()


def test_what_the_library_keeps_for_itself_later_is_not_read(mirror: Path, store: Store) -> None:
    source = Source(kind="mirror", path=mirror)
    with open_task(task("BIOSSES"), source, store) as opened:
        data: Any = opened.task.dataset
        data["test"].map(lambda row: {"score": 5.0 - row["score"]})
        opened.check_unchanged()
    (kept,) = prepared(store, "cache-*.arrow")
    rows_of(task("BIOSSES"), source, Store(store.folder))
    assert not kept.exists()


def test_a_task_that_asks_for_no_repository_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import mteb

    def load_data(self: Any, **_: Any) -> None:
        self.dataset, self.data_loaded = {"test": []}, True

    monkeypatch.setattr(type(mteb.get_task("BIOSSES")), "load_data", load_data)
    with open_task(task("BIOSSES"), Source(), store) as opened:
        assert opened.data_sha256 is None
        assert opened.dataset_revision == "as-mteb-loads-it"


ELSEWHERE = [
    "ftp://127.0.0.1/x.jsonl", "https://example.org/x.jsonl", "hf://datasets/other/name/x.jsonl", "s3://bucket/x",
    "/etc/hosts", "../x.jsonl", "data/../../x.jsonl", "zip://x.jsonl::https://example.org/x.zip", "file:///etc/hosts",
    "file:/etc/hosts", "local:/etc/hosts",
]  # fmt: skip


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize(
    "shape", ["[{{split: test, path: '{}'}}]", "'{}'", "['{}']", "[{{split: test, path: ['a', '{}']}}]", "dir"]
)
@pytest.mark.parametrize("file", ["README.md", ".huggingface.yaml"])
def test_data_elsewhere_is_refused_before_a_library_sees_it(
    *, store: Store, monkeypatch: pytest.MonkeyPatch, where: str, shape: str, file: str, tmp_path: Path
) -> None:
    folder = tmp_path / "hub" / "mteb" / "biosses-sts"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("{}\n")
    said = f"data_dir: '{where}'" if shape == "dir" else f"data_files: {shape.format(where)}"
    front = f"configs:\n- config_name: default\n  {said}\n"
    (folder / file).write_text(f"---\n{front}---\ntext\n" if file == "README.md" else front)
    monkeypatch.setattr("datasets.load.dataset_module_factory", lambda *_, **__: pytest.fail("seen"))
    with pytest.raises(SourceError) as caught:
        rows_of(task("BIOSSES"), Source(kind="mirror", path=tmp_path / "hub"), store)
    assert str(caught.value) == (
        f'{folder}: {file} takes data from "{where}"; it may name files in its own folder alone'
    )


@pytest.mark.parametrize("what", ["file", "folder", "data set"])
def test_a_link_that_leaves_the_mirror_is_refused(mirror: Path, store: Store, what: str, tmp_path: Path) -> None:
    root, data = tmp_path / "hub", tmp_path / "hub" / "mteb" / "biosses-sts"
    outside = shutil.copytree(mirror / "mteb" / "biosses-sts", tmp_path / "outside")
    data.parent.mkdir(parents=True)
    if what == "data set":
        data.symlink_to(outside)
    else:
        shutil.copytree(outside, data)
        (data / "more").symlink_to(outside / "test.jsonl.gz" if what == "file" else outside)
    with pytest.raises(SourceError, match=rf"is a link that leaves {root}; put the file itself there$"):
        rows_of(task("BIOSSES"), Source(kind="mirror", path=root), store)


def test_a_link_inside_the_mirror_is_followed(mirror: Path, store: Store, tmp_path: Path) -> None:
    source = copy_of(mirror, tmp_path / "hub", "mteb/biosses-sts")
    data = tmp_path / "hub" / "mteb" / "biosses-sts"
    known = hash_of(task("BIOSSES"), source, store)
    shutil.move(data / "test.jsonl.gz", tmp_path / "hub" / "kept")
    (data / "test.jsonl.gz").symlink_to("../../kept")
    (data / "round").symlink_to(".")
    assert hash_of(task("BIOSSES"), source, store) == known


def pack(
    path: Path, member: tarfile.TarInfo, content: bytes = b'{"sentence1": "a", "sentence2": "b", "score": 1}\n'
) -> None:
    """Pack a good file and a member, by the ending of the archive's name."""
    good = tarfile.TarInfo("./data/test.jsonl")
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("data/test.jsonl", content)
            packed.writestr(zipfile.ZipInfo(member.name), content)
        return
    compressed: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with compressed(path, "wb") as file, tarfile.open(fileobj=file, mode="w") as tape:
        for one in (good, member):
            one.size = len(content) if one.isfile() else 0
            tape.addfile(one, io.BytesIO(content))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


CLIMBING = [
    member("/etc/made"), member("../made"), member("a/../../made"), member("a\\..\\made"), member("x\ny"),
    member("a", tarfile.SYMTYPE, "/etc/passwd"), member("a", tarfile.SYMTYPE, "../.."),
    member("a", tarfile.LNKTYPE, "../x"), member("a", tarfile.FIFOTYPE), member("a", tarfile.CHRTYPE),
]  # fmt: skip


# What links and devices are packed as in a zip file is a plain file to whoever unpacks it.
PACKED = [
    pytest.param(ending, bad, id=f"{ending} {bad.name!r} {bad.type.decode()} {bad.linkname}")
    for ending in (".zip", ".tar", ".tar.gz", ".tar.xz", ".jsonl")
    for bad in CLIMBING
    if bad.isfile() or ending != ".zip"
]


@pytest.mark.parametrize(("ending", "bad"), PACKED)
def test_an_archive_with_members_elsewhere_is_refused_before_it_is_unpacked(
    store: Store, monkeypatch: pytest.MonkeyPatch, ending: str, bad: tarfile.TarInfo, tmp_path: Path
) -> None:
    folder = tmp_path / "hub" / "mteb" / "biosses-sts"
    folder.mkdir(parents=True)
    packed = folder / f"test{ending}"
    pack(packed, bad)
    monkeypatch.setattr("datasets.load.dataset_module_factory", lambda *_, **__: pytest.fail("seen"))
    with pytest.raises(SourceError) as caught:
        rows_of(task("BIOSSES"), Source(kind="mirror", path=tmp_path / "hub"), store)
    assert str(caught.value) == (
        f'{packed} has the member "{one_line(bad.name)}", which is no file or folder inside; pack it anew'
    )


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_an_archive_of_plain_files_is_read(store: Store, ending: str, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "mteb" / "biosses-sts"
    folder.mkdir(parents=True)
    pack(folder / f"test{ending}", member("data", tarfile.DIRTYPE) if ending != ".zip" else member("data/more.jsonl"))
    files = f"data_files: [{{split: test, path: 'test{ending}'}}]"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  {files}\n---\n")
    found = rows_of(task("BIOSSES"), Source(kind="mirror", path=tmp_path / "hub"), store)
    assert len(found["test"]) > 0


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x1f\x8b\x08", bytes(1024), b"ustar" * 200]
)
def test_what_is_no_archive_is_not_judged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert find_climbing(tmp_path / "a") is None


@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n", "  "])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_a_front_matter_is_read_as_the_library_reads_it(store: Store, start: str, line: str, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "mteb" / "biosses-sts"
    folder.mkdir(parents=True)
    front = "---\nconfigs:\n- config_name: default\n  data_files:\n    test: /etc/hosts\n---\ntext\n"
    (folder / "README.md").write_bytes((start + front.replace("\n", line)).encode())
    with pytest.raises(SourceError, match=r'README.md takes data from "/etc/hosts"'):
        rows_of(task("BIOSSES"), Source(kind="mirror", path=tmp_path / "hub"), store)


def test_a_line_in_a_readme_is_no_front_matter(mirror: Path, store: Store, tmp_path: Path) -> None:
    source = copy_of(mirror, tmp_path / "hub", "mteb/biosses-sts")
    known = hash_of(task("BIOSSES"), Source(kind="mirror", path=mirror), store)
    (tmp_path / "hub" / "mteb" / "biosses-sts" / "README.md").write_text("text: [\n\n---\nmore: [\n")
    assert hash_of(task("BIOSSES"), source, store) == known


def test_a_front_matter_that_cannot_be_read_is_one_sentence(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "mteb" / "biosses-sts"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises(SourceError, match=rf"^{folder}/README.md: not YAML at line 3: .*; fetch it again$"):
        rows_of(task("BIOSSES"), Source(kind="mirror", path=tmp_path / "hub"), store)
