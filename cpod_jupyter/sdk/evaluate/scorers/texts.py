"""Scorers that measure how much of the right text the answer has: ROUGE, BLEU and chrF."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cpod_jupyter.api.schema import nearest
from cpod_jupyter.errors import CpodError
from cpod_jupyter.sdk.evaluate.scorers.base import Answered, Score, Scorer, needed

if TYPE_CHECKING:
    from cpod_jupyter.sdk.session import Session

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_LOCK = threading.Lock()


def has_han(text: str) -> bool:
    """Whether there is Chinese in it, whose words no spaces part."""
    return _HAN.search(text) is not None


def chinese_words(text: str, scorer: str) -> list[str]:
    """The words of a run of Chinese characters, by jieba. Raises CpodError where that is not installed."""
    with warnings.catch_warnings(), _LOCK:
        warnings.simplefilter("ignore")  # jieba's own use of pkg_resources, and its escapes
        jieba = needed("jieba", scorer)
        jieba.setLogLevel(logging.WARNING)
        return [word for word in jieba.lcut(text) if word.strip()]


def _parted(text: str, scorer: str, others: Callable[[str], list[str]]) -> list[str]:
    """The words of a text: Chinese by jieba, what stands between by `others`."""
    words, at = [], 0
    for run in _HAN.finditer(text):
        words += [*others(text[at : run.start()]), *chinese_words(run[0], scorer)]
        at = run.end()
    return [*words, *others(text[at:])]


@dataclass
class _RougeTokens:
    """rouge-score's own tokenizer knows the letters a to z alone, and stems them; this one knows the other scripts."""

    ascii: Any
    scorer: str

    def tokenize(self, text: str) -> list[str]:
        return _parted(text, self.scorer, self._between)

    def _between(self, text: str) -> list[str]:
        return list(self.ascii.tokenize(text)) if text.isascii() else re.findall(r"\w+", text.casefold())


@dataclass
class Rouge(Scorer):
    """ROUGE's F-measure, from 0 to 1 (Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004), by
    rouge-score; `kind` is one of rouge1, rouge2, rougeL, rougeLsum, or a list of them."""

    kind: str | list[str] = "rougeL"
    stemmer: bool = True
    name: str = "rouge"

    def __post_init__(self) -> None:
        self._kinds = [self.kind] if isinstance(self.kind, str) else list(self.kind)
        for kind in self._kinds or [""]:
            if kind not in _KINDS:
                hint = nearest(kind, _KINDS) or f"; there are {', '.join(_KINDS)}"
                raise CpodError(f'there is no kind "{kind}" of ROUGE{hint}')
        self._scorer: Any = None

    def prepare(self, session: Session | None) -> None:
        tokens = needed("rouge_score.tokenizers", self.name, "rouge-score").DefaultTokenizer(self.stemmer)
        scorer = needed("rouge_score.rouge_scorer", self.name, "rouge-score")
        self._scorer = scorer.RougeScorer(self._kinds, tokenizer=_RougeTokens(tokens, self.name))

    def score(self, answered: Answered) -> Score:
        found = self._scorer.score_multi(answered.rights, answered.answer)
        if len(self._kinds) == 1:
            return Score.of(found[self._kinds[0]].fmeasure)
        return Score({kind: found[kind].fmeasure for kind in self._kinds})


@dataclass
class Bleu(Scorer):
    """BLEU, from 0 to 100 (Papineni et al., 2002), by sacrebleu: of each row with the effective order, and of the whole
    corpus. Words are those of the 13a tokenizer; Chinese ones are jieba's."""

    name: str = "bleu"
    top: ClassVar[float] = 100.0

    def prepare(self, session: Session | None) -> None:
        bleu = needed("sacrebleu.metrics", self.name, "sacrebleu").BLEU
        self._tokens = needed("sacrebleu.tokenizers.tokenizer_13a", self.name, "sacrebleu").Tokenizer13a()
        self._sentence = bleu(tokenize="none", effective_order=True, force=True)
        self._corpus = bleu(tokenize="none", force=True)

    def score(self, answered: Answered) -> Score:
        rights = [self._words(right) for right in answered.rights]
        return Score.of(self._sentence.sentence_score(self._words(answered.answer), rights).score)

    def whole(self, rows: Sequence[Answered]) -> float | None:
        answers = [self._words(row.answer) for row in rows]
        return float(self._corpus.corpus_score(answers, _references(rows, self._words)).score) if rows else None

    def _words(self, text: str) -> str:
        return " ".join(_parted(text, self.name, lambda part: str(self._tokens(part)).split()))


@dataclass
class Chrf(Scorer):
    """chrF, from 0 to 100 (Popović, 2015), by sacrebleu: of each row and of the whole corpus; `word_order: 2` is
    chrF++. It counts characters, so Chinese needs no words."""

    word_order: int = 0
    name: str = "chrf"
    top: ClassVar[float] = 100.0

    def prepare(self, session: Session | None) -> None:
        self._chrf = needed("sacrebleu.metrics", self.name, "sacrebleu").CHRF(word_order=self.word_order)

    def score(self, answered: Answered) -> Score:
        return Score.of(self._chrf.sentence_score(answered.answer, answered.rights).score)

    def whole(self, rows: Sequence[Answered]) -> float | None:
        answers = [row.answer for row in rows]
        return float(self._chrf.corpus_score(answers, _references(rows, str)).score) if rows else None


def _references(rows: Sequence[Answered], words: Callable[[str], str]) -> list[list[str | None]]:
    """sacrebleu's form: a list for each first, second, … right answer, None where a row has no more."""
    most = max((len(row.rights) for row in rows), default=0)
    return [[words(row.rights[at]) if at < len(row.rights) else None for row in rows] for at in range(most)]
