"""Codes: different numbers, different codes, no visible pattern; long ones are random."""

import functools
import math
import re
import string
from collections import Counter
from collections.abc import Callable

import pytest
from hashids import Hashids
from hypothesis import given
from hypothesis import strategies as st

from shortener import connections, keys
from shortener.codes import Codes, looks_like_code, normalise
from shortener.config import DEFAULT_ALPHABET
from tests.harness import Server

NewServer = Callable[..., Server]


def codes(salt: str = "a salt", length: int = 5) -> Codes:
    return Codes(salt, length, DEFAULT_ALPHABET)


@functools.cache
def first_codes(count: int) -> list[str]:
    """Codes of the numbers from 1 on."""
    some = codes()
    return [some.encode(number) for number in range(1, count + 1)]


def test_five_characters_last_for_234_256_links() -> None:
    """All of them are used before the first code of six; no code comes twice."""
    some = codes()
    made = [some.encode(number) for number in range(234_256)]
    assert set(map(len, made)) == {5}
    assert len(set(made)) == len(made)
    assert {len(some.encode(number)) for number in (234_256, 5_153_631)} == {6}
    assert len(some.encode(5_153_632)) == 7


@given(st.text(min_size=1, max_size=40), st.sets(st.integers(1, 1 << 40), min_size=2, max_size=50))
def test_different_numbers_have_different_codes(salt: str, numbers: set[int]) -> None:
    """Whatever the salt, over the whole range of numbers."""
    some = codes(salt)
    assert len({some.encode(number) for number in numbers}) == len(numbers)


@pytest.mark.parametrize("length", [5, 7, 9])
@pytest.mark.parametrize("alphabet", [DEFAULT_ALPHABET, "0123456789abcdefXY", string.ascii_letters])
def test_codes_are_those_of_hashids(alphabet: str, length: int) -> None:
    """Each is what Hashids makes of a number, with as many characters at least: small numbers,
    large ones, and drawn ones; those of a site's first length are the numbers up to a bound."""
    some, hashids = Codes("a salt", length, alphabet), Hashids("a salt", length, alphabet)
    numbers = [*range(500), *(500 + n * 99_991 for n in range(500))]
    made = [code for n in numbers for code in (some.encode(n), some.encode(n, 7), some.draw(12, n))]
    decoded = [hashids.decode(code) for code in made]  # nothing, if it would be spelled otherwise
    assert {len(found) for found in decoded} == {1}
    assert len({found[0] for found in decoded}) == len(set(made))


def test_each_code_of_six_characters_comes_once() -> None:
    """All 146,410 of the smallest alphabet, a number that is no square, and no other."""
    some, hashids = Codes("a salt", 5, "0123456789abcdef"), Hashids("a salt", 5, "0123456789abcdef")
    made = {some.encode(number) for number in range(11**4, 11**5)}
    assert made == {hashids.encode(number) for number in range(11**4, 11**5)}


@given(st.text(min_size=1, max_size=40), st.integers(5, 7), st.integers(1, 300_000))
def test_no_number_is_left_out(salt: str, length: int, number: int) -> None:
    """The numbers of one length are a permutation of themselves: any of them fits in its place."""
    some, hashids = codes(salt, length), Hashids(salt, length, DEFAULT_ALPHABET)
    (found,) = hashids.decode(some.encode(number))
    bounds = [0, *(22 ** (n - 1) for n in range(length, 10))]
    assert [number >= bound for bound in bounds] == [found >= bound for bound in bounds]


@pytest.mark.parametrize("apart", [1, 2, 11, 22, 484])
def test_neighbours_share_no_pattern(apart: int) -> None:
    """Codes of numbers so far apart agree in a place no more often than chance: one in 22."""
    made = first_codes(20_000)
    pairs = list(zip(made, made[apart:], strict=False))
    for place in range(5):
        share = sum(a[place] == b[place] for a, b in pairs) / len(pairs)
        assert abs(share - 1 / 22) < 0.01, (place, share)


def test_neighbours_share_no_first_letters_in_a_row() -> None:
    """The first letters of codes in a row form no cycle: they are as random as drawn ones."""
    first = [code[0] for code in first_codes(10_000)]
    for period in range(1, 100):
        share = sum(a == b for a, b in zip(first, first[period:], strict=False)) / len(first)
        assert share < 1 / 22 + 0.02, period


def test_another_salt_is_another_order() -> None:
    """Whoever does not know the salt learns nothing from another site's codes."""
    one, other = codes("one"), codes("other")
    same = sum(one.encode(number) == other.encode(number) for number in range(1, 2_001))
    assert same < 5


@pytest.mark.parametrize("length", [8, 9, 16, 32])
def test_long_codes_are_random_over_their_whole_length(length: int) -> None:
    """Each place takes many characters, about equally often, and no two draws agree."""
    some = codes(length=length)
    drawn = [some.draw(length) for _ in range(4_000)]
    assert set(map(len, drawn)) == {length}
    assert len(set(drawn)) == len(drawn)
    for place in range(length):
        counts = Counter(code[place] for code in drawn)
        entropy = -sum(n / 4_000 * math.log2(n / 4_000) for n in counts.values())
        assert entropy > math.log2(20), (place, entropy)


def test_a_site_with_long_codes_draws_them(new_server: NewServer) -> None:
    """With `CODE_LENGTH` 8 the codes tell nothing about the counter, not even with the salt."""
    server = new_server(CODE_LENGTH="8", CODE_SALT="known to all").start()
    made = [server.make_link()["code"] for _ in range(5)]
    known = Codes("known to all", 8, DEFAULT_ALPHABET)
    assert {len(code) for code in made} == {8}
    assert not {known.encode(number) for number in range(1, 100)} & set(made)


def test_a_counter_that_was_set_back_leaps_over_taken_codes(new_server: NewServer) -> None:
    """After a restored backup the next numbers are taken: new links are made all the same."""
    server = new_server().start()
    old = {server.make_link()["code"] for _ in range(30)}
    store = connections.sync(f"unix://{server.data_dir}/redis/socket")
    store.set(keys.NUMBER, 0)
    store.close()
    new = {server.make_link()["code"] for _ in range(10)}
    assert len(new) == 10
    assert not new & old
    listed = [link["code"] for link in server.api("GET", "/links?limit=200").json()["links"]]
    assert sorted(listed) == sorted(old | new)


def test_another_salt_or_length_breaks_no_link(new_server: NewServer) -> None:
    """Stored codes are never decoded: old ones redirect, new ones are of the new kind."""
    server = new_server().start()
    old = server.make_link("https://example.com/old")["code"]
    server.stop()
    server.settings |= {"CODE_SALT": "something else", "CODE_LENGTH": "6"}
    server.start()
    assert server.follow(old).headers["location"] == "https://example.com/old"
    assert re.fullmatch("[a-z0-9]{6}", server.make_link()["code"])


@given(st.text(max_size=70))
def test_normalising_twice_changes_nothing(text: str) -> None:
    """What is stored is what is looked up."""
    once = normalise(text, case_sensitive=False)
    assert normalise(once, case_sensitive=False) == once or not looks_like_code(once)
