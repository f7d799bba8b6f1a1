"""Finds the buyer's purchase-order number in an order's comments (docs/configuration.md, The PO number).

Every step takes linear time: no pattern has an unbounded repetition next to a similar one.
"""

from __future__ import annotations

import html
import html.entities
import re
import string
import unicodedata
from functools import cache
from typing import NamedTuple

END_OF_TEXT = 8_192
"""Characters that are read at each end of a text: B2B Edition adds its lines at the end."""

TIMES_ESCAPED = 3
"""How often HTML entities are decoded: several systems may escape a text."""

_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
    # Joiners combine several emoji; next to plain text they mean nothing.
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
_LINE_END = re.compile(
    r"""
      (?= [\s<\\/qQ] ) (?:              # fails early for most characters
      [\r\n\v\f\x1c-\x1e\x85\u2028\u2029]
    | (?i: </? (?: br|p|div|li|ul|ol|table|tr|td|th|h[1-6] ) \b [^<>]{0,200} > )
    | \\[rn]                             # escaped twice
    # The storefront API's reference writes a line end as "/n". Not so in "12/north", "PO/number", "s/n 5".
    | (?:/r)?/n (?= [^\W\d_a-z] | [b-df-hj-np-tv-z][a-z]{2} | (?: our\ )? p\.?/?o\b | -{3} )
    | (?<!\b[A-Za-z]) (?:/r)?/n (?! \w )
    | \b (?= (?i: quote\ ?\#\s?: ) )     # where line ends became spaces
    )""",
    re.VERBOSE,
)
_INLINE_TAG = re.compile(r"</?(?:b|strong|i|em|u|span|font|small|a|code)\b[^<>]{0,200}>", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
_DASHES = "-\u2010-\u2015\u2212"
_LONG_RULE = re.compile(rf"[{_DASHES}]{{10,}}")
_RULE = re.compile(rf"[{_DASHES}]{{3,}}")
_BULLETS = " \t-*\u2022\u00b7\u2013\u2014>_\"'([\u201c\u201e\u00ab"
_TRAILING = " \t.,;:!*_\"'\u201c\u201d\u00bb"

# One character for one, so that positions in the folded line are positions in the line.
_FOLDED = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | dict.fromkeys(
    map(ord, "\ufe55\ufe30\u2236\ua789"), ":"
)

_NUMBER = r"(?: numbers?|nummer|num\b\.?|nos?\b\.?|nr\b\.?|n[\u00b0\u00ba]|\u2116|\#|id\b|code\b )"
_REFERENCE = r"r[e\u00e9]f(?:erence|erenz|erencia|\u00e9rence)?s?\b\.?"
_SAYS_REFERENCE = re.compile(rf"\b{_REFERENCE}", re.IGNORECASE)
_WORDS_OF_A_LABEL = rf"""
    (?P<number> (?: [\s_./-]{{0,3}} {_NUMBER} | [\s_.-]{{0,3}} {_REFERENCE} ){{0,4}} )
    (?: \s? (?: /\s?(?P<slash> [^\W\d_] [^\s:=]{{0,30}} (?: \s [^\s:=]{{1,30}} ){{0,3}} ) (?= \s?[:=] )
              | (?: [/|\\&] | \bor\b | \band\b )\s?(?P<reference> {_REFERENCE} (?: [\s_./-]{{0,3}} {_NUMBER} ){{0,2}} ) ) )?
"""
_END_OF_LABEL = r"""
    (?: \s? \d (?= \s?[:=] ) )?
    (?: \s? (?: [*_\"']{1,3} | \( [^()]{0,40} \) | \[ [^][]{0,40} \] ) ){0,2}
    (?P<be> \s is\b )?
"""
_GENERIC = re.compile(
    rf"""
    (?: \d{{1,2}}[.)]\s )?
    (?: (?: re|notes?|comments?|order\ (?: notes?|comments? ) ) \s?:\s? )?
    (?: (?: our|my|your|the|new|order|b2b|company|(?: client|customer|buyer )(?: ['\u2019]?s )? | cust\.? ) \s ){{0,2}}
    (?P<lead> (?: order|job|project|cust(?:omer)?|{_REFERENCE} ) (?: \b [\w\s.\#]{{0,20}} )? /\s? )?
    (?P<po> (?: p\.? \s? /? \s? o | purch(?:ase|asing|\.)? [\s_-]? ord(?:ers?|\.)? )
            (?: (?! [^\W_] ) | (?= num|n[or]\b|ref ) ) \.? )
    (?! [\s_./-]{{0,3}} box )
    (?: \s? \( [^()]{{0,40}} \) )?
    {_WORDS_OF_A_LABEL} {_END_OF_LABEL}
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BY_ITSELF = re.compile(
    r"po(?: [-\u2010\u2011\u2013_/](?! box|num|n[or]\b|ref ) | (?=\d) )[^\s:=\#@]+", re.IGNORECASE | re.VERBOSE
)
"""A whole line such as "PO-4711": the buyer's number itself begins with PO."""

_STRONG = re.compile(rf"\s?(?:[:=#\t]|[{_DASHES}=]>)(?:[{_DASHES}]{{1,2}}(?=[\s\w]))?\s?")
_DASH = re.compile(rf"\s?[{_DASHES}]{{1,2}}\s?")
_POLITE = re.compile(r"\b(?:please|pls|plz|kindly|thanks|thank you|thx)\b", re.IGNORECASE)

_PLACEHOLDER = re.compile(
    r"""
      (?: none | n\s?/\s?a | n\.a | t\.?b\.?[acd] | (?: to | will | shall ) \s (?: be | come | follow | provide | send ) ) \b \D*
    | na | no | nil | null | yes | unknown | undefined | x{3,} | pending | later | following | follows
    | required | requested | needed | optional | attached | see\s (?: above | attached | attachment | below | e-?mail )
    | not? \s (?: po | applicable | available | needed | required | yet )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Placeholders that buyers write when they have no number."""

_WORDS = (
    "after an and are as ask at be been before but by call can coming contact deliver do due email e-mail find follow follows "
    "for from give goes has have he her if in is it its me must my need needs net not of on or our per phone send sent she "
    "should till that the there they this to until up us was we when will with within without you your"
)
_EVERYDAY = frozenset(_WORDS.split())
_NEVER = re.compile(r"^box\s|\S@\S|://", re.IGNORECASE)
_NUMBER_ALONE = re.compile(rf"[{_DASHES}\w.,/#+]+")
LONGEST_CODE = 3
"""A word in capitals of at most this many letters is a code, not an everyday word: "IT 4500"."""

_BEFORE_A_DIGIT = 2
"""Words before the first one with a digit, in a number of several words: "Job Smith 12"."""

_PUNCTUATION = (
    string.punctuation
    + string.whitespace
    + "\u2010\u2011\u2012\u2013\u2014\u2015\u2018\u2019\u201c\u201d\u201e\u2026\u00b7\u2022"
)

PO, NUMBER, CHECKOUT, OWN = range(4)
"""How specific a label is. The last two come from a form: the text after them is the value."""


class Line(NamedTuple):
    """One line of a text. `block` is the number of lines of dashes above it, or 0 when there is none below it."""

    text: str
    block: int


class _Found(NamedTuple):
    """A line with a PO number. The largest one wins."""

    own: bool
    block: int
    rank: int
    place: int
    value: str


def find_po_number(text: str, labels: tuple[str, ...] = ()) -> str | None:
    """The PO number in a text, or None; `labels` are the store's own labels, beside the usual English ones.

    A store's own label wins; then the last block between two lines of dashes; then the more specific label; then the
    later line. Placeholders (`_PLACEHOLDER`) are no values.
    """
    own = _own_labels(labels) if labels else None
    found = []
    for place, line in enumerate(lines(text)):
        if read := _read(line.text, own):
            rank, value = read
            found.append(_Found(rank == OWN, line.block, rank, place, value))
    return max(found).value if found else None


def lines(text: str) -> list[Line]:
    """The non-empty lines of a buyer's text, without markup, entities and invisible characters.

    Runs of spaces become one space, or one tab if there is one among them.
    """
    if len(text) > 2 * END_OF_TEXT:
        # A line that would be cut is left out: a part of a number is wrong.
        split = _split(text[:END_OF_TEXT])[:-1] + _split(text[-END_OF_TEXT:])[1:]
    else:
        split = _split(text)
    found, block = [], 0
    for raw in split:
        line = _SPACES.sub(_one_space, raw).strip()
        if _RULE.fullmatch(line):
            block += 1
        elif line:
            found.append(Line(line, block))
    return [line if line.block < block else Line(line.text, 0) for line in found]


def bare_label(label: str) -> str:
    """A label without the separator before its value; empty when nothing else is left."""
    return label.translate(_FOLDED).strip(_BULLETS + ":=#")


def _split(text: str) -> list[str]:
    for _ in range(TIMES_ESCAPED):
        if "&" not in text:
            break
        text = _ENTITY.sub(_character, text)
    text = _INVISIBLE.sub("", _INLINE_TAG.sub("", text))
    return _LONG_RULE.sub("\n---\n", _LINE_END.sub("\n", text)).split("\n")


def _character(entity: re.Match[str]) -> str:
    # The whole name: html.unescape also takes the beginning of one ("&ampersand;") for an entity.
    return html.unescape(entity[0]) if entity[1][0] == "#" else html.entities.html5.get(f"{entity[1]};", entity[0])


def _one_space(spaces: re.Match[str]) -> str:
    return "\t" if "\t" in spaces[0] else " "


@cache
def _own_labels(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the store's labels in any case, with composed and decomposed umlauts."""
    forms = {
        r"\s".join(map(re.escape, unicodedata.normalize(form, bare_label(label)).split()))
        for label in labels
        for form in ("NFC", "NFD")
    }
    longest_first = "|".join(sorted(forms, key=len, reverse=True))
    return re.compile(rf"(?:{longest_first})(?![^\W_]){_END_OF_LABEL}", re.IGNORECASE | re.VERBOSE)


def _read(line: str, own: re.Pattern[str] | None) -> tuple[int, str] | None:
    """How specific the label of a line is, and the PO number after it."""
    line = line.lstrip(_BULLETS)
    folded = line.translate(_FOLDED)
    if own and (label := own.match(folded)) and (value := _value(label, line, folded, OWN)):
        return OWN, value
    if line[:2].lower() == "po" and _BY_ITSELF.fullmatch(value := _trimmed(line)) and _has_digit(value):
        return PO, value
    if not (label := _GENERIC.match(folded)):
        return None
    if label["reference"] or _SAYS_REFERENCE.search(f"{label['slash']} {label['lead']}"):
        rank = CHECKOUT
    else:
        rank = NUMBER if label["number"] or label["slash"] or label["lead"] else PO
    value = _value(label, line, folded, rank)
    return (rank, value) if value else None


def _value(label: re.Match[str], line: str, folded: str, rank: int) -> str:
    """The text after the label if it is a PO number; otherwise empty."""
    start = label.end()
    colon = mark = _STRONG.match(folded, start)
    hint = label[0].endswith("#")
    if mark is None and (mark := _DASH.match(folded, start)):
        hint = hint or rank > PO
    elif mark is None and not hint and not _may_follow(label, folded):
        return ""
    rest = line[mark.end() if mark else start :]
    if rank >= CHECKOUT and (colon or hint):
        value = " ".join(rest.split())
        return "" if _is_placeholder(value) else value
    value = _trimmed(rest)
    plausible = _is_plausible(value, colon=colon is not None, hint=hint)
    return value if plausible and not _is_placeholder(value) else ""


def _may_follow(label: re.Match[str], folded: str) -> bool:
    """Whether a value can follow the label without a separator: "PO 4711", "P.O.4711"."""
    following = folded[label.end() : label.end() + 1]
    return following.isspace() or (label[0].endswith(".") and following.isdigit())


def _trimmed(text: str) -> str:
    """A value in a buyer's own line, without the rest of the sentence."""
    text = " ".join(_POLITE.split(text, maxsplit=1)[0].split()).lstrip(_BULLETS + ":=#").rstrip(_TRAILING)
    for opening, closing in ("()", "[]"):
        if text.endswith(closing) and opening not in text:
            text = text[:-1]
    return text


def _is_placeholder(value: str) -> bool:
    bare = value.strip(_PUNCTUATION)
    return not bare or _PLACEHOLDER.fullmatch(bare) is not None


def _is_plausible(value: str, *, colon: bool, hint: bool) -> bool:
    """Whether a buyer's own words are a PO number rather than a sentence.

    One word is. Several are if one of the first three has a digit and none before it is an everyday word. After a mere
    hint ("#", or a dash after a label with "Number") none at all may be one, and without a hint it has to be one word with a digit.
    """
    if _NEVER.search(value):
        return False
    words = value.split()
    with_digit = next((place for place, word in enumerate(words) if _has_digit(word)), None)
    if len(words) == 1:
        return colon or hint or (with_digit is not None and _NUMBER_ALONE.fullmatch(value) is not None)
    if not (colon or hint) or with_digit is None or with_digit > _BEFORE_A_DIGIT:
        return False
    return not any(map(_is_everyday, words[:with_digit] if colon else words))


def _is_everyday(word: str) -> bool:
    word = word.strip(_PUNCTUATION)
    return word.lower() in _EVERYDAY and not (word.isupper() and len(word) <= LONGEST_CODE)


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))
