"""Codes: from a link's number to the few characters people see, and the rules of aliases.

Hashids alone leaves a pattern: codes of numbers 22 apart share four of five characters.  So numbers
are first shuffled among those whose codes are equally long, by a Feistel network keyed with the
salt (Luby and Rackoff 1988; over any number of numbers: Black and Rogaway 2002).  That hides the
order from a reader; it does not protect.  Codes of eight characters and more do: their number is
drawn from `secrets` over the whole length.

The stored code is the truth: nothing is ever decoded, so salt, length and alphabet may change.
"""

import hashlib
import math
import secrets
import sys
import unicodedata
from array import array
from typing import NamedTuple

from hashids import Hashids

from shortener.errors import Invalid

RANDOM_FROM = 8  # characters; from this length on a code cannot be guessed
MAX_ALIAS = 64  # characters, after normalisation
MAX_SPELLING = 4 * MAX_ALIAS  # characters, before: what is longer is not worth normalising
_ROUNDS = 4  # of the Feistel network: enough to be a strong permutation (Luby and Rackoff)
_ORDERS = 100  # Hashids orders its letters by the last two decimals of a number


class Codes:
    """Makes codes of at least `length` characters (5 to 32) from `alphabet`, ordered by `salt`."""

    def __init__(self, salt: str, length: int, alphabet: str) -> None:
        key = hashlib.blake2b(salt.encode(), digest_size=32).digest()
        self._keyed = hashlib.blake2b(digest_size=8, key=key)
        self._shuffles: dict[int, _Shuffle] = {}  # by how many numbers there are
        self._bands: dict[int, _Band] = {}  # by length, the one that was needed last
        self._length = length
        self._padded = Hashids(salt=salt, min_length=length, alphabet=alphabet)
        self._bare = Hashids(salt=salt, alphabet=alphabet)
        self._base = _base(self._bare)
        self._padded_below = self._base ** (length - 2)
        self._orders: list[_Order | None] = [None] * _ORDERS

    def make(self, number: int, length: int = 0, nonce: bytes = b"") -> str:
        """A code for a link's number, of at least `length` characters; long ones are drawn."""
        length = max(length, self._length)
        return (
            self.encode(number, length)
            if length < RANDOM_FROM
            else self.draw(length, number, nonce)
        )

    def encode(self, number: int, length: int = 0) -> str:
        """The code of a link's number (1 or more), of at least `length` characters.

        Different numbers have different codes, among those asked for with the same length.
        """
        length = max(length, self._length)
        band = self._bands.get(length)
        if band is None or not band.first <= number < band.behind:
            band = self._bands[length] = self._band(number, length)
        return self._spell(band.low + band.shuffle.place(number - band.first))

    def draw(self, length: int, number: int = 0, nonce: bytes = b"") -> str:
        """A random code of exactly `length` characters, which should be 8 or more.

        With a secret `nonce` it is always the same one for a number.
        """
        low = self._base ** (length - 2)
        size = low * (self._base - 1)
        if nonce:
            digest = hashlib.blake2b(b"%d %d" % (length, number), key=nonce).digest()
            drawn = int.from_bytes(digest, "little") % size  # 512 bits: no bias to speak of
        else:
            drawn = secrets.randbelow(size)
        return self._spell(low + drawn)

    def _band(self, number: int, length: int) -> "_Band":
        """The band of a number.  Only at the site's own length are short codes padded."""
        first, low = 0, 0 if length == self._length else int(self._base ** (length - 2))
        high = int(self._base ** (length - 1))
        while number - first >= high - low:
            first += high - low
            low, high = high, high * self._base
        size = high - low
        if (shuffle := self._shuffles.get(size)) is None:
            shuffle = self._shuffles[size] = _Shuffle(self._keyed, size)
        return _Band(first, first + size, low, shuffle)

    def _spell(self, number: int) -> str:
        """The same as Hashids does, which orders its letters anew each time: half of all time."""
        if number < self._padded_below:
            return str(self._padded.encode(number))
        order = self._orders[number % _ORDERS]
        if order is None:
            order = self._orders[number % _ORDERS] = self._learn(number % _ORDERS)
        pairs, base, code = order.pairs, self._base, ""
        square = base * base
        while number >= square:
            number, pair = divmod(number, square)
            code = pairs[pair] + code
        return order.first + (pairs[number] if number >= base else order.letters[number]) + code

    def _learn(self, last: int) -> "_Order":
        """How numbers with these last decimals are spelt: read off codes of large ones, which have
        many digits each."""
        letters: dict[int, str] = {}
        number, code = self._base**8 * _ORDERS + last, ""
        while len(letters) < self._base:
            code, rest = self._bare.encode(number), number
            for letter in reversed(code[1:]):
                rest, digit = divmod(rest, self._base)
                letters[digit] = letter
            number += _ORDERS
        ordered = "".join(letters[digit] for digit in range(self._base))
        pairs = [sys.intern(high + low) for high in ordered for low in ordered]
        return _Order(code[0], ordered, pairs)


class _Order(NamedTuple):
    """How Hashids spells some numbers."""

    first: str  # what their codes begin with
    letters: str  # of the digits
    pairs: list[str]  # of two digits at once, which are half the steps


class _Band(NamedTuple):
    """Numbers whose codes are equally long."""

    first: int
    behind: int
    low: int  # the least that Hashids is given for them
    shuffle: "_Shuffle"


class _Shuffle:
    """A salted order of the numbers below `size`.

    They lie in a rectangle of hardly more, whose rows and columns are shifted in turn, each as far
    as a hash of the other says.
    """

    def __init__(self, keyed: hashlib.blake2b, size: int) -> None:
        self._size = size
        self._rows = math.isqrt(size - 1) + 1
        self._columns = -(-size // self._rows)
        self._turns = []
        for turn in range(_ROUNDS):
            begun = keyed.copy()  # and again for each number: that is half the time of a new one
            begun.update(b"%d %d " % (turn, size))
            self._turns.append(begun)
        # What was found out already; all of it are four times the square root of `size`.
        self._shifts = [array("q", [-1]) * max(self._rows, self._columns) for _ in self._turns]
        self._rounds = [(t, self._shifts[t], self._shifts[t + 1]) for t in range(0, _ROUNDS, 2)]

    def place(self, value: int) -> int:
        """The place of `value` (0 <= value < size)."""
        rows, columns = self._rows, self._columns
        while True:
            row, column = divmod(value, columns)
            for turn, shifts, others in self._rounds:
                if (shift := shifts[column]) < 0:
                    shift = self._find(turn, column)
                row = (row + shift) % rows
                if (shift := others[row]) < 0:
                    shift = self._find(turn + 1, row)
                column = (column + shift) % columns
            value = row * columns + column
            if value < self._size:  # walk on along the cycle otherwise: one of many thousand
                return value

    def _find(self, turn: int, value: int) -> int:
        """How far a row or a column is shifted in a turn."""
        digest = self._turns[turn].copy()
        digest.update(b"%d" % value)
        shift = int.from_bytes(digest.digest(), "little") >> 1
        self._shifts[turn][value] = shift
        return shift


def _base(hashids: Hashids) -> int:
    """How many letters Hashids counts with: it sets some of the alphabet aside.

    Without padding, codes of two characters are exactly those of the numbers below the base.
    """
    number = 1
    while len(hashids.encode(number)) == 2:
        number += 1
    return number


def normalise(code: str, case_sensitive: bool) -> str:
    """The form in which a code or alias is stored and looked up.

    What is longer than any spelling of a code is not looked at: it can be none.
    """
    if len(code) > MAX_SPELLING:
        return code
    if code.isascii():
        return code if case_sensitive else code.lower()
    code = unicodedata.normalize("NFC", code)
    return code if case_sensitive else unicodedata.normalize("NFC", code.casefold())


def looks_like_code(code: str) -> bool:
    """Whether a normalised name could be a code at all: cheap, before anything is looked up."""
    if code.isascii():
        bare = code.replace("-", "").replace("_", "")
        return code[:1].isalnum() and len(code) <= MAX_ALIAS and (bare.isalnum() or not bare)
    return len(code) <= MAX_ALIAS and not _fault(code)


def check_alias(alias: str, case_sensitive: bool, reserved: frozenset[str]) -> str:
    """The normalised form of a custom alias.  Raises `Invalid`, naming the field `code`."""
    try:
        alias.encode()
    except UnicodeEncodeError:
        raise Invalid.field("code", "is not valid Unicode text") from None
    if len(alias) > MAX_SPELLING:
        raise Invalid.field("code", f"must have 1 to {MAX_ALIAS} characters")
    code = normalise(alias, case_sensitive)
    if fault := _fault(code):
        raise Invalid.field("code", fault)
    if code.casefold() in reserved:
        raise Invalid.field("code", f"{code} is the address of something else here")
    return code


def _fault(code: str) -> str:
    if not 1 <= len(code) <= MAX_ALIAS:
        return f"must have 1 to {MAX_ALIAS} characters"
    if unicodedata.category(code[0])[0] != "L" and unicodedata.category(code[0]) != "Nd":
        return "must start with a letter or digit"
    for character in code:
        kind = unicodedata.category(character)
        if kind[0] not in "LM" and kind != "Nd" and character not in "-_":
            return "may have letters, digits, combining marks, - and _ only"
    return ""
