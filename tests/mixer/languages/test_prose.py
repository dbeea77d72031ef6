import time

import pytest

from mixer.languages.prose import has_letters, paragraphs, without_code, without_identifiers

CODED = "Ein Satz.\n```php\necho 'a';\n\n```\nNoch einer.\n~~~\n```\n~~~\nEnde"


def test_code_is_marked_and_nothing_is_lost() -> None:
    found = list(paragraphs(CODED))
    assert "\n".join(paragraph.text for paragraph in found) == CODED
    assert [paragraph.is_code for paragraph in found] == [
        *(False, True, True, True, True, False),
        *(True, True, True, False),
    ]
    assert without_code(CODED) == "Ein Satz.\nNoch einer.\nEnde"
    assert without_code("Kein Code\n") == "Kein Code\n"


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("mysqli_real_connect() PDO::getAttribute", 0),
        ("RecursiveFilterIterator https://example.org/a?b=c", 0),
        ("使用mysql_query()函数", 4),
        ("Ist es gut? Ja, sehr.", 14),
        ("l'été, well-known", 13),
        ("2026-11-21 §§ 3.14", 0),
    ],
)
def test_identifiers_are_no_prose(text: str, letters: int) -> None:
    prose = without_identifiers(text)
    assert has_letters(prose, letters)
    assert not has_letters(prose, letters + 1)


def test_long_words_cost_no_more_than_their_length() -> None:
    begin = time.process_time()
    without_identifiers("a.=" * 300_000 + "." * 300_000)
    has_letters("1" * 1_000_000, 20)
    assert time.process_time() - begin < 2
