import pytest

from mixer.languages.labels import labels_of

pytest.importorskip("langcodes", reason="langcodes is not installed (extra prepare)")

GLOTLID = (
    *("deu_Latn", "eng_Latn", "ara_Arab", "arb_Arab", "arz_Arab", "cmn_Hani", "jpn_Jpan"),
    *("srp_Latn", "srp_Cyrl", "pcm_Latn", "zxx_Zzzz"),
)
LID_176 = ("de", "en", "ar", "arz", "zh", "ja", "sr")


@pytest.mark.parametrize(
    ("folder", "known", "labels"),
    [
        ("de", GLOTLID, {"deu_Latn"}),
        ("deu", GLOTLID, {"deu_Latn"}),
        ("deu_Latn", LID_176, {"de"}),
        ("en-noisy", GLOTLID, {"eng_Latn"}),
        ("en-noisy", ("en", "en-noisy"), {"en-noisy"}),
        ("ar", GLOTLID, {"ara_Arab", "arb_Arab"}),
        ("zh-hans", GLOTLID, {"cmn_Hani"}),
        ("zh-hant", LID_176, {"zh"}),
        ("sr", GLOTLID, {"srp_Cyrl"}),
        ("sr-Latn", GLOTLID, {"srp_Latn"}),
        ("sr-Latn", LID_176, {"sr"}),
        ("ja", GLOTLID, {"jpn_Jpan"}),
        ("pcm", GLOTLID, {"pcm_Latn"}),
    ],
)
def test_folders_find_their_labels(folder: str, known: tuple[str, ...], labels: set[str]) -> None:
    assert labels_of([folder], known) == {folder: labels}


def test_labels_can_be_given() -> None:
    given = {"web": "eng_Latn", "serbian": "srp_Latn+srp_Cyrl"}
    found = labels_of(["de", "serbian", "web"], GLOTLID, given)
    assert found["web"] == {"eng_Latn"}
    assert found["serbian"] == {"srp_Latn", "srp_Cyrl"}
    assert found["de"] == {"deu_Latn"}


def test_unknown_languages_are_named_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"no label for sa, web\.text; name one \(--labels\.sa"):
        labels_of(["de", "sa", "web.text"], GLOTLID)
    with pytest.raises(ValueError, match=r"labels of de must be the model's, got german; it knows"):
        labels_of(["de"], GLOTLID, {"de": "german"})
    with pytest.raises(ValueError, match="labels name fr; the folders are de"):
        labels_of(["de"], GLOTLID, {"fr": "deu_Latn"})
