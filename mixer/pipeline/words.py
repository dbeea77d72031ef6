"""Words for near-duplicates, in any script and without a model per language."""

from __future__ import annotations

import regex
from datatrove.utils.word_tokenizers import WordTokenizer, simple_span_tokenize

# Scripts that put no spaces between words count by character, their vowel signs with them.
WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\p{M}*|"
    r"(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}])\S)+"
)


class AnyScript(WordTokenizer):
    """Splits at spaces, and between the characters of scripts that have none.

    datatrove's own tokenizers need a package for most languages and a name for each; what MinHash
    asks for is only that two copies of a text are split alike.
    """

    def word_tokenize(self, text: str) -> list[str]:
        words: list[str] = WORD.findall(text)
        return words

    def sent_tokenize(self, text: str) -> list[str]:
        return [line.strip() for line in text.splitlines() if line.strip()]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return list(simple_span_tokenize(text, self.sent_tokenize(text)))
