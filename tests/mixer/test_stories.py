import hashlib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import jsonargparse
import pytest
import zstandard

from mixer.sources import find_sources
from mixer.stories import LANGUAGES, write_corpus
from mixer.stories.corpus import SPLITS, tell
from mixer.stories.registry import StoryDomain

GOLDEN = "6b7a27d3b5d72df6725f07b3b28fd99f77137bb9093bc7f8aa6ed909d82e5352"
LETTERS = {
    "Latin": ("LATIN",),
    "Cyrillic": ("CYRILLIC",),
    "Greek": ("GREEK",),
    "Devanagari": ("DEVANAGARI",),
    "Arabic": ("ARABIC",),
    "Japanese": ("HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC ITERATION MARK"),
}
CLEAN = pytest.mark.parametrize(
    "domain", [one for one in LANGUAGES if not one.noise], ids=lambda domain: domain.code
)
SCALE = 0.25

Corpus = dict[tuple[str, str], dict[str, str]]


def content(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read()


def read(folder: Path) -> Corpus:
    """Texts by ID for every domain and split."""
    corpus: Corpus = {}
    for domain, split in itertools.product(LANGUAGES, SPLITS):
        lines = content(folder / domain.code / f"{split}.jsonl.zst").decode().splitlines()
        stories = [json.loads(line) for line in lines]
        assert all(set(story) == {"id", "text"} for story in stories)
        corpus[domain.code, split] = {story["id"]: story["text"] for story in stories}
        assert len(corpus[domain.code, split]) == len(stories)
    return corpus


def digest(folder: Path) -> str:
    # Of the content: another version of zstd may compress the same text in another way.
    paths = sorted(path for path in folder.rglob("*.zst"))
    names = [str(path.relative_to(folder)).encode() for path in paths]
    parts = [name + content(path) for name, path in zip(names, paths, strict=True)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stories") / "standard"
    write_corpus(folder, scale=SCALE)
    return folder


@pytest.fixture(scope="module")
def corpus(standard: Path) -> Corpus:
    return read(standard)


def first_texts(domain: StoryDomain, count: int) -> Iterator[str]:
    return (story.text for story in itertools.islice(tell(domain, "train", 3), count))


def test_same_seed_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_corpus(tmp_path / name, seed=seed, scale=0.005)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    assert len(files) == 3 * len(LANGUAGES) + 1
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert digest(tmp_path / "a") != digest(tmp_path / "c")
    assert len(capsys.readouterr().out.splitlines()) == 3 * (len(LANGUAGES) + 1)


def test_golden(tmp_path: Path) -> None:
    """After a change that is meant to change texts: raise VERSION and renew the digest."""
    write_corpus(tmp_path / "out", scale=0.005)
    assert digest(tmp_path / "out") == GOLDEN


def test_sizes(corpus: Corpus) -> None:
    sizes = {
        domain.code: sum(len(text.encode()) for text in corpus[domain.code, "train"].values())
        for domain in LANGUAGES
    }
    assert list(sizes) == sorted(sizes, key=lambda code: -sizes[code])
    assert 80 <= sizes["en"] / min(sizes.values()) <= 120
    assert 2.4e6 * SCALE < sizes["en"] < 2.6e6 * SCALE
    assert 5.5e6 * SCALE < sum(sizes.values()) < 7e6 * SCALE


def test_splits_share_no_plan_and_no_text(corpus: Corpus) -> None:
    plans: dict[str, set[str]] = {split: set() for split in SPLITS}
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for (_, split), stories in corpus.items():
        plans[split] |= set(stories)
        texts[split] += stories.values()
    for one, other in itertools.combinations(SPLITS, 2):
        assert not plans[one] & plans[other]
        assert not set(texts[one]) & set(texts[other])


def test_ids_are_parallel(corpus: Corpus) -> None:
    english = {split: list(corpus["en", split]) for split in SPLITS}
    assert len(english["validation"]) == len(english["test"]) == 15
    for (_, split), stories in corpus.items():
        ids = english[split][: len(stories)] if split == "train" else english[split]
        assert list(stories) == ids


def test_a_tiny_corpus_still_has_something_to_evaluate_on(tmp_path: Path) -> None:
    write_corpus(tmp_path / "out", scale=1e-9)
    counts = {(split, len(texts)) for (_, split), texts in read(tmp_path / "out").items()}
    assert counts == {("train", 1), ("validation", 8), ("test", 8)}


@CLEAN
def test_text_is_in_the_script(domain: StoryDomain) -> None:
    letters = {letter for text in first_texts(domain, 60) for letter in text if letter.isalpha()}
    names = {letter: unicodedata.name(letter) for letter in letters}
    assert not {x for x, name in names.items() if not name.startswith(LETTERS[domain.script])}
    assert len(letters) > 20


@CLEAN
def test_text_is_well_formed(domain: StoryDomain) -> None:
    spaced = domain.code != "ja"
    for text in first_texts(domain, 60):
        assert len(text) in range(200 if not spaced else 350, 1300)
        assert not re.search(r"[{}<>|]|^\s|\s$|\s\s|\s[.,:;?!。、»”](?!\w)|[.,]{2}", text), text
        assert (" " in text) == spaced
        # Nowhere does a sentence end and the next begin with a small letter.
        assert not re.search(r"(?<=\.) [«„“]?[a-zà-öø-ÿа-яіїєα-ωğışçöü]", text), text


def test_noise_is_near_its_share() -> None:
    domain = next(one for one in LANGUAGES if one.noise)
    clean = next(one for one in LANGUAGES if one.code == domain.language)
    pairs = zip(first_texts(domain, 200), first_texts(clean, 200), strict=True)
    words = [zip(a.split(" "), b.split(" "), strict=True) for a, b in pairs]
    changed = [one != other for one, other in itertools.chain.from_iterable(words)]
    assert sum(changed) / len(changed) == pytest.approx(domain.noise, abs=0.015)


def test_small_domains_with_and_without_a_larger_relative() -> None:
    small = [one for one in LANGUAGES if one.share < 0.05]
    related = {
        one.code: any(o.family == one.family and o.share > one.share for o in LANGUAGES)
        for one in small
    }
    assert set(related.values()) == {True, False}


def test_sources_are_found(standard: Path) -> None:
    sources, remarks = find_sources(standard)
    assert {(s.domain, s.split) for s in sources} == {
        (domain.code, split) for domain in LANGUAGES for split in SPLITS
    }
    assert remarks == ["ignored stories.json: not in a domain's folder"]


def test_command_line(tmp_path: Path) -> None:
    words = [str(tmp_path / "new/out"), "--seed", "1", "--scale", "0.001"]
    jsonargparse.auto_cli(write_corpus, args=words, as_positional=True)
    mark = json.loads((tmp_path / "new/out/stories.json").read_text("utf-8"))
    assert (mark["seed"], mark["scale"], mark["version"]) == (1, 0.001, 1)
    assert {one["code"] for one in mark["domains"] if one["noise"]} == {"en-noisy"}


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_scale(tmp_path: Path, scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be a positive number"):
        write_corpus(tmp_path / "out", scale=scale)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("foreign", ["en/train.jsonl", "sw/train.jsonl.zst"])
def test_replaces_only_its_own(tmp_path: Path, foreign: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_corpus(out, seed=1, scale=0.001)
    before = digest(out)
    write_corpus(out, seed=2, scale=0.001)
    assert digest(out) != before
    (out / foreign).parent.mkdir(exist_ok=True)
    (out / foreign).write_bytes(b"precious")
    with pytest.raises(ValueError, match="name an empty folder or a new one"):
        write_corpus(out, seed=3, scale=0.001)
    assert (out / foreign).read_bytes() == b"precious"


@pytest.mark.parametrize("mark", [None, "[]", "{", '{"format": "other"}'])
def test_refuses_a_folder_without_its_mark(tmp_path: Path, mark: str | None) -> None:
    (tmp_path / "out/en").mkdir(parents=True)
    (tmp_path / "out/en/train.jsonl.zst").write_bytes(b"precious")
    if mark is not None:
        (tmp_path / "out/stories.json").write_text(mark)
    with pytest.raises(ValueError, match="holds en; name an empty folder"):
        write_corpus(tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        write_corpus(tmp_path / "file")


def test_interrupted_run_leaves_the_old_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_corpus(out, scale=0.001)
    before = digest(out)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mixer.stories.corpus.corrupt", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_corpus(out, seed=1, scale=0.001)
    assert digest(out) == before
    assert (tmp_path / "out.partial").is_dir()
    write_corpus(out, seed=1, scale=0.001)
    assert digest(out) != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
