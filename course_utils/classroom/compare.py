"""What checks ask of a learner's values: are they numbers, are they unchanged, how are they called in a sentence."""
import inspect
from numbers import Number

import numpy as np


class Wrong(Exception): "What is wrong with an answer, in a sentence for the learner."


# a word for a difference → what can be said of its interval
WHERE_INTERVAL_LIES = {
    'better': 'lies above zero',
    'worse': 'lies below zero',
    'not clear': 'holds zero',
}
MOST_NAMED = 6  # as many values of a list are named one by one


def short_repr(
    value,
    longest: int=70,  # characters
) -> str:
    "A value in few words."
    if getattr(value, 'shape', None) == () and hasattr(value, 'tolist'): value = value.tolist()
    text = _words_for(value)
    return text if len(text) <= longest else text[:longest - 1] + '…'


def _words_for(value) -> str:
    "The same, of any length."
    if _is_short_list(value): return _list_in_words(value)
    if isinstance(value, bool): return str(value)
    if isinstance(value, (int, np.integer)): return str(int(value))
    if isinstance(value, (float, np.floating)): return f'{value:.4g}'
    if hasattr(value, 'shape') and hasattr(value, 'tolist'): return _array_in_words(value)
    if isinstance(value, (list, tuple)): return f'a {type(value).__name__} of {len(value)}'
    if inspect.isfunction(value): return f'the function {value.__name__}'
    # where `repr` would give an address, or a whole network
    if type(value).__repr__ is object.__repr__ or hasattr(value, 'parameters'): return f'a {type(value).__name__}'
    return repr(value)


def _is_short_list(value) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) > MOST_NAMED: return False
    return all(isinstance(v, (Number, str)) for v in value)


def _list_in_words(value) -> str:
    "A list or tuple, as Python writes it."
    text = ', '.join(map(short_repr, value))
    if isinstance(value, list): return f'[{text}]'
    return f'({text},)' if len(value) == 1 else f'({text})'


def _array_in_words(value) -> str:
    is_short = len(value.shape) == 1 and value.shape[0] <= MOST_NAMED
    return short_repr(value.tolist()) if is_short else f'an array of shape {tuple(value.shape)}'


def equal(a, b) -> bool:
    "Are these equal, down to every number? Kinds it does not know count as equal."
    if type(a) is not type(b): return False
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict): return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray): return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == 'f')
    if hasattr(a, 'equals'): return a.equals(b)  # pandas
    if hasattr(a, 'detach'): return a.shape == b.shape and bool((a == b).all())  # torch
    return a == b if isinstance(a, (Number, str, bytes)) else True


def as_number(
    value,
    name: str='The answer',  # how the sentence begins
) -> float:
    "A plain number. Raises `Wrong` for anything else."
    if hasattr(value, 'item') and getattr(value, 'shape', None) in ((), (1,)): value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Wrong(f'{name} is {short_repr(value)}, and should be one number.')
    return float(value)


def as_numbers(
    value,                   # an array, a tensor, or a list, also of tensors
    shape: int | tuple,      # what it should have
    name: str='The answer',  # how the sentence begins
) -> np.ndarray:
    "An array of that shape. Raises `Wrong` for anything else."
    try: array = np.asarray(_on_the_cpu(value), float)
    except (TypeError, ValueError): raise Wrong(f'{name} is {short_repr(value)}, and should be numbers.') from None
    wanted = shape if isinstance(shape, tuple) else (shape,)
    if array.shape != wanted: raise Wrong(f"{name} has the shape {array.shape}, and should have {wanted}.")
    return array


def _on_the_cpu(value):
    "Something that NumPy can read."
    if hasattr(value, 'detach'): return value.detach().cpu()
    if not isinstance(value, (list, tuple)): return value
    return [_plain_number(v) for v in value]


def _plain_number(value):
    "A tensor or array of no dimensions as a number; anything else as it is."
    has_one = hasattr(value, 'item') and not getattr(value, 'shape', None)
    return value.item() if has_one else value
