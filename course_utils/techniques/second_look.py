"""A closer look at two pictures whose hashes are alike: copies stand out from all the others, and plain pictures show nothing but colour.

Lesson 12 finds the candidates, and says why they are looked at again."""
import numpy as np

APART = .32  # of the distance to the ninth nearest other picture
FLAT = 3     # grey levels: the contrast of a plain picture
COLOUR = 1.5 # grey levels that the colours of copies may be apart


# ---- among many that are alike ----

def distance_to_others(
    patterns,         # `(N, bits)`, each of length 1
    places,           # whose
    k: int=9,         # which of the others, the nearest first; the farthest where there are fewer
) -> np.ndarray:      # `(len(places),)`, between 0 and 2
    "How far the k-th nearest picture is, beside the picture itself and its nearest."
    rank = max(0, len(patterns) - 2 - k)
    reached = []
    for chunk in np.array_split(places, 1 + len(places) // 1000):
        correlations = patterns[chunk] @ patterns.T
        reached.append(np.partition(correlations, rank, axis=1)[:, rank])
    return np.sqrt(np.maximum(0, 2 - 2 * np.concatenate(reached)))


def stand_out(
    patterns,         # of `near_duplicates.unlike_others`
    a, b,             # places of the pairs `(K,)`
) -> np.ndarray:      # bool `(K,)`
    "Is each pair much nearer to one another than to the other pictures?"
    places, position = np.unique(np.r_[a, b], return_inverse=True)
    distance = distance_to_others(patterns, places)[position]
    correlation = np.einsum('nk,nk->n', patterns[a], patterns[b])
    apart = np.sqrt(np.maximum(0, 2 - 2 * correlation))
    return apart <= APART * np.minimum(distance[:len(a)], distance[len(a):])


# ---- where there is nothing to see ----

def same_where_flat(
    images,           # `(N, H, W, 3)` uint8
    a, b,             # places of the pairs `(K,)`
) -> np.ndarray:      # bool `(K,)`; True where both pictures show something
    "Of a pair with a plain picture in it: are all the pixels nearly equal?"
    def is_flat(i): return images[i].std((0, 1)).max() < FLAT
    flat = {i for i in np.unique(np.r_[a, b]) if is_flat(i)}
    equal = np.ones(len(a), bool)
    for k, (i, j) in enumerate(zip(a, b)):
        if i not in flat and j not in flat: continue
        difference = np.abs(images[i].astype(np.int16) - images[j])
        equal[k] = difference.mean((0, 1)).max() <= COLOUR
    return equal
