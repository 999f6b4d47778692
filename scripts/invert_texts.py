"""Attack the hashes of texts and addresses, to measure what they reveal.

The attacker has the hashes, and reads other texts of the same language and field: the half of the folder that is not
attacked. The attacker tests whether a text is listed, fills gaps in a known text, and guesses unknown words. A trained
language model can guess better, but from the same bits.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.hashing.addresses import normalise
from hashdb.hashing.texts import (
    _INCREMENTS,
    MIN_SHINGLES,
    WINDOW,
    _mix,
    hash_words,
    shingle_length,
    shingles,
    simhash,
    split_words,
)

_Bits = NDArray[np.bool_]
_SHORTEST = 2_000
"""The fewest words of a text that the script uses."""


class Attacker:
    """The attacker's knowledge of the language: the frequencies of words and of pairs of words."""

    def __init__(self, texts: Sequence[list[str]], most: int) -> None:
        words = Counter(word for text in texts for word in text)
        self.pairs = Counter(pair for text in texts for pair in pairwise(text))
        self.vocabulary = [word for word, _ in words.most_common(most)]
        self._known = set(self.vocabulary)
        self.frequency = [float(words[word]) for word in self.vocabulary]

    def with_words(self, words: Sequence[str]) -> list[str]:
        """The vocabulary and these words. Without them, the attack could not find a word outside the vocabulary."""
        return [*self.vocabulary, *(word for word in dict.fromkeys(words) if word not in self._known)]


class Guess:
    """A guessed text with as many words as the window. The attacks change one word after another."""

    def __init__(self, words: Sequence[str], wanted: _Bits) -> None:
        self.words, self._wanted = list(words), wanted
        self._reach = max(map(shingle_length, self.words)) - 1

    @property
    def distance(self) -> int:
        """The distance of its hash from the wanted hash, in bits."""
        return int(self.distances(0, self.words[:1])[0])

    def distances(self, place: int, candidates: Sequence[str]) -> NDArray[np.int64]:
        """The distance from the wanted hash, in bits, with each of these words at a place."""
        start, end = max(0, place - self._reach), min(len(self.words), place + self._reach + 1)
        before, after = self.words[start:place], self.words[place + 1 : end]
        text_shingles = shingles(self.words)
        rest = np.unique(np.concatenate([text_shingles[:start], text_shingles[place + 1 :]]))
        # Leave out the shingles that reach from the words of one candidate into those of the next one.
        flat = [word for candidate in candidates for word in (*before, candidate, *after)]
        values = np.zeros(len(flat), np.uint64)
        flat_shingles = shingles(flat)
        values[: len(flat_shingles)] = flat_shingles
        changed = values.reshape(len(candidates), end - start)[:, : end - start - self._reach]
        # Each shingle counts once in a window.
        counted = ~np.isin(changed, rest)
        for later in range(1, changed.shape[1]):
            counted[:, later] &= (changed[:, :later] != changed[:, later : later + 1]).all(axis=1)
        ones = (shingle_bits(changed.ravel()).reshape(*changed.shape, -1) * counted[..., None]).sum(axis=1, dtype=int)
        ones += shingle_bits(rest).sum(axis=0, dtype=int)
        size = len(rest) + counted.sum(axis=1)
        from_wanted: NDArray[np.int64] = ((2 * ones > size[:, None]) != self._wanted).sum(axis=1)
        return from_wanted

    def put(self, place: int, word: str) -> None:
        """Replace the word at a place."""
        self.words[place] = word


def shingle_bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The 256 bits of each shingle, one row for each."""
    return np.unpackbits(_mix(values[:, None] + _INCREMENTS).astype("<u8").view(np.uint8), axis=1)


def bits_of(words: Sequence[str]) -> _Bits:
    """The hash of a window as 256 bits."""
    signal = simhash(words)
    assert signal is not None
    return np.unpackbits(np.frombuffer(signal.to_bytes(), np.uint8)).astype(bool)


def main() -> None:
    """Run each attack, and print its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of texts in one language")
    parser.add_argument("--windows", type=int, default=40, help="number of windows to attack")
    parser.add_argument("--vocabulary", type=int, default=10_000, help="number of words that the attacker knows")
    arguments = parser.parse_args()
    chance = random.Random(1)
    texts = [words for path in sorted(arguments.folder.rglob("*")) if len(words := _words_of(path)) >= _SHORTEST]
    chance.shuffle(texts)
    attacked, read = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    attacker = Attacker(read, arguments.vocabulary)
    count = sum(map(len, read))
    print(f"{len(attacked)} texts attacked; the attacker reads {len(read)} others, {count} words")
    print(f"the attacker knows {len(attacker.vocabulary)} words")
    windows = list(_windows(attacked, arguments.windows, WINDOW, chance))
    measure_speed(windows)
    attack_membership(attacked, read)
    attack_one_word(attacker, windows, chance)
    try_wrong_sentences(windows[:4], read, chance)
    attack_two_words(attacker, windows[:4], chance)
    for gap in (2, 5, 10):
        attack_sentence(attacker, windows[: max(8, len(windows) // 4)], gap, chance)
    for length in (25, 50, WINDOW):
        attack_pairs(attacker, list(_windows(attacked, arguments.windows, length, chance)), length)
    attack_whole_window(attacker, windows[:2], chance)
    measure_addresses()


def _words_of(path: Path) -> list[str]:
    try:
        return split_words(path.read_text("utf-8")) if path.is_file() else []
    except (OSError, UnicodeDecodeError):
        return []


def _windows(texts: Sequence[list[str]], count: int, length: int, chance: random.Random) -> Iterator[list[str]]:
    drawn = 0
    while drawn < count:
        text = chance.choice(texts)
        start = chance.randrange(len(text) - length)
        window = text[start : start + length]
        # Skip tables: they repeat a few words, and have no hash.
        if length <= MIN_SHINGLES or len(np.unique(shingles(window))) > max(MIN_SHINGLES, 0.8 * length):
            drawn += 1
            yield window


def measure_speed(windows: Sequence[list[str]]) -> None:
    """Print the number of texts that a core hashes in a second."""
    start = time.process_time()
    for window in windows:
        simhash(window)
    whole = len(windows) / (time.process_time() - start)
    guess, candidates = Guess(windows[0], bits_of(windows[0])), windows[1] * 50
    start = time.process_time()
    guess.distances(WINDOW // 2, candidates)
    changes = len(candidates) / (time.process_time() - start)
    print(f"guesses a second on a core: {whole:.0f} whole windows, {changes:.0f} changes of one word")


def attack_membership(attacked: Sequence[list[str]], read: Sequence[list[str]]) -> None:
    """Print whether an attacker with candidate texts can recognise the listed ones."""
    by_text = [_hashes(text) for text in (*attacked, *read)]
    listed = np.concatenate(by_text[: len(attacked)])
    radius = Algorithm.SIMHASH256.radius
    nearest = []
    for hashes in by_text[len(attacked) :]:
        nearest.append(min(int(((hashes @ -listed.T) + 256).min()) // 2, 256))
    false = sum(distance <= radius for distance in nearest)
    print(f"listed texts recognised: {len(attacked)} of {len(attacked)}, each window at 0 bits")
    print(f"others within {radius} bits of a listed window: {false} of {len(read)}; nearest {min(nearest)} bits")
    sample = np.concatenate([hashes[:: max(1, len(hashes) // 20)] for hashes in by_text])
    owner = np.repeat(np.arange(len(by_text)), [len(h[:: max(1, len(h) // 20)]) for h in by_text])
    apart = ((256 - sample @ sample.T) / 2)[owner[:, None] < owner]
    mean, deviation = apart.mean() / 256, apart.std() / 256
    effective = mean * (1 - mean) / deviation**2
    print(f"windows of different texts: {256 * mean:.1f} ± {256 * deviation:.1f} bits, as {effective:.0f} fair coins")


def _hashes(words: list[str]) -> NDArray[np.float32]:
    """The windows of a text, one row for each, with 1 and -1 for the bits."""
    hashes = [frame.signals[0].to_bytes() for frame in hash_words(words)]
    return 2 * np.unpackbits(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32), axis=1).astype(np.float32) - 1


def attack_one_word(attacker: Attacker, windows: Sequence[list[str]], chance: random.Random) -> None:
    """Print how often one unknown word is found if all other words are known."""
    unambiguous, candidate_counts = 0, []
    for window in windows:
        place = chance.randrange(2, WINDOW - 2)
        candidates = attacker.with_words([window[place]])
        distances = Guess(window, bits_of(window)).distances(place, candidates)
        distance_of_word = distances[candidates.index(window[place])]
        candidate_counts.append(int((distances <= distance_of_word).sum()))
        unambiguous += candidate_counts[-1] == 1
    size = len(attacker.vocabulary)
    print(
        f"one word unknown: found among {size} in {unambiguous} of {len(windows)} windows without ambiguity;", end=" "
    )
    print(f"candidates left: {np.mean(candidate_counts):.1f} in the mean, {max(candidate_counts)} at most")


def try_wrong_sentences(windows: Sequence[list[str]], read: Sequence[list[str]], chance: random.Random) -> None:
    """Print the distance of the nearest wrong sentence of 10 words, if all other words are known."""
    nearest, guesses, gap = 256, 0, 10
    for window in windows:
        start, wanted = chance.randrange(2, WINDOW - 2 - gap), bits_of(window)
        for other in _windows(read, 2_000, gap, chance):
            guessed = bits_of([*window[:start], *other, *window[start + gap :]])
            nearest, guesses = min(nearest, int((guessed != wanted).sum())), guesses + 1
    print(f"a sentence of {gap} words unknown: of {guesses} wrong ones, the nearest is {nearest} bits away")


def attack_two_words(attacker: Attacker, windows: Sequence[list[str]], chance: random.Random) -> None:
    """Print how often two consecutive words are found by trying all pairs of the 500 likeliest words and these two."""
    unambiguous, pair_counts, tried = 0, [], 0
    for window in windows:
        place = chance.randrange(2, WINDOW - 3)
        likely = [*attacker.vocabulary[:500], *window[place : place + 2]]
        guess, nearest = Guess(window, bits_of(window)), []
        for first in dict.fromkeys(likely):
            guess.put(place, first)
            nearest.append(guess.distances(place + 1, likely))
            tried += len(likely)
        pair_counts.append(int((np.concatenate(nearest) == 0).sum()))
        unambiguous += pair_counts[-1] == 1
    print(f"two words unknown, all pairs of 500 words tried: {tried / len(windows):.0f} guesses a window,", end=" ")
    print(f"right pair alone in {unambiguous} of {len(windows)} windows, {max(pair_counts)} pairs at 0 bits at most")


def attack_sentence(attacker: Attacker, windows: Sequence[list[str]], gap: int, chance: random.Random) -> None:
    """Print how often a gap of several words is filled, and the number of guesses."""
    whole, right, guesses = 0, 0, 0
    for window in windows:
        start = chance.randrange(2, WINDOW - 2 - gap)
        places = range(start, start + gap)
        candidates = attacker.with_words([window[place] for place in places])
        wanted, best = bits_of(window), None
        for _ in range(4):
            guess = Guess(window, wanted)
            for place in places:
                guess.put(place, chance.choices(attacker.vocabulary, attacker.frequency)[0])
            guesses += _improve(guess, places, candidates, chance)
            best = guess if best is None or guess.distance < best.distance else best
            if best.distance == 0:
                break
        assert best is not None
        right += sum(best.words[place] == window[place] for place in places)
        whole += best.words == window
    print(f"{gap} words in a row unknown: all found in {whole} of {len(windows)} windows,", end=" ")
    print(f"{right} of {gap * len(windows)} words, {guesses / len(windows):.0f} guesses a window")


def _improve(guess: Guess, places: Sequence[int], candidates: Sequence[str], chance: random.Random) -> int:
    """Choose the best word at one place after another until nothing improves; return the number of guesses."""
    guesses, before = 0, 257
    while guess.distance < before:
        before = guess.distance
        for place in chance.sample(list(places), len(places)):
            guess.put(place, candidates[int(guess.distances(place, candidates).argmin())])
            guesses += len(candidates)
    return guesses


def attack_pairs(attacker: Attacker, windows: Sequence[list[str]], length: int) -> None:
    """Print whether the attacker can recognise the pairs of words in an unknown window."""
    common = [pair for pair, _ in attacker.pairs.most_common(100_000)]
    values = shingles([word for pair in common for word in pair])[::2]
    bits = shingle_bits(values).astype(np.float32) * 2 - 1
    prior = np.log([attacker.pairs[pair] for pair in common[: len(bits)]])
    ranks, top, by_chance = [], [], []
    for window in windows:
        present = set(pairwise(window))
        in_window = np.array([pair in present for pair in common[: len(bits)]])
        score = bits @ (2 * bits_of(window).astype(np.float32) - 1)
        order = np.argsort(np.argsort(score))
        if in_window.any():
            inside, outside = in_window.sum(), (~in_window).sum()
            ranks.append((order[in_window].sum() - inside * (inside - 1) / 2) / inside / outside)
        # A shingle agrees with a window of n shingles in 1/2 + 1/sqrt(2 pi n) of the bits, on average.
        agreed = 0.5 + 1 / np.sqrt(2 * np.pi * (length - 1))
        likely = prior + score / 2 * np.log(agreed / (1 - agreed))
        top.append(in_window[np.argsort(-likely)[:20]].mean())
        by_chance.append(in_window[np.argsort(-prior)[:20]].mean())
    print(f"window of {length} words, nothing known: a pair that is in it ranks above one that is not", end=" ")
    print(f"in {np.mean(ranks):.0%}; of the 20 likeliest, {np.mean(top):.0%} are in it", end=" ")
    print(f"(by frequency alone {np.mean(by_chance):.0%})")


def attack_whole_window(attacker: Attacker, windows: Sequence[list[str]], chance: random.Random) -> None:
    """Print the results of a search for the whole text of a window."""
    right, present, by_chance, distances = 0, 0.0, 0.0, []
    for window in windows:
        start = chance.choices(attacker.vocabulary, attacker.frequency, k=WINDOW)
        guess = Guess(start, bits_of(window))
        for _ in range(2):
            for place in chance.sample(range(WINDOW), WINDOW):
                guess.put(place, _likely(attacker, guess, place))
        distances.append(guess.distance)
        right += sum(guessed == word for guessed, word in zip(guess.words, window, strict=True))
        present += len(set(guess.words) & set(window)) / len(set(guess.words))
        by_chance += len(set(start) & set(window)) / len(set(start))
    count = len(windows)
    print(f"{WINDOW} words unknown, searched by frequency: {np.mean(distances):.0f} bits away;", end=" ")
    print(f"{right} of {WINDOW * count} words at their place,", end=" ")
    print(f"{present / count:.0%} of the words are in the window (before the search {by_chance / count:.0%})")


def _likely(attacker: Attacker, guess: Guess, place: int) -> str:
    """The word with the nearest hash; among equal ones, the most frequent one between its neighbours."""
    candidates = attacker.vocabulary[:3_000]
    before, after = guess.words[place - 1], guess.words[(place + 1) % WINDOW]
    usual = np.array([attacker.pairs[before, word] + attacker.pairs[word, after] for word in candidates], float)
    cost = guess.distances(place, candidates) - np.log1p(usual) - 0.1 * np.log(attacker.frequency[: len(candidates)])
    return candidates[int(cost.argmin())]


def measure_addresses() -> None:
    """Print the number of addresses that a core tries in a second."""
    known = [f"https://example.org/watch?v={number:011d}" for number in range(200_000)]
    start = time.process_time()
    for address in known:
        hashlib.sha256(address.encode()).digest()
    plain = len(known) / (time.process_time() - start)
    start = time.process_time()
    for address in known[:20_000]:
        normalise(address)
    normal = 20_000 / (time.process_time() - start)
    start = time.process_time()
    for number in range(20):
        hashlib.scrypt(known[number].encode(), salt=b"salt of the list", n=2**14, r=8, p=1)
    slow = 20 / (time.process_time() - start)
    print(f"addresses a second on a core: {plain:.0f} hashed, {normal:.0f} normalised, {slow:.0f} by scrypt (16 MiB)")


if __name__ == "__main__":
    main()
