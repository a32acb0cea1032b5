"""Is this a transform that the course can train with? Asked of one picture before the training, so that no wrong one is
found out after it, or never."""
import copy, random
from contextlib import contextmanager

import numpy as np, torch

from course_utils.config import CourseError

CHOICES = ('OneOf', 'OneOrOther', 'SomeOf', 'RandomOrder')  # compositions that leave some of their operations out
FLIP_EXAMPLE = 'A.Compose([A.HorizontalFlip(p=.5)])'


def check_augment(
    augment,            # what `Recipe(augment=)` or `loaders(tfm=)` was given
    image: np.ndarray,  # one of the pictures, `(H, W, 3)` uint8
):
    """Raises `CourseError` unless it gives `{'image': …}`, uint8 `(H, W, 3)` of the same size: pictures are normalised and
    made tensors afterwards. A copy is tried, with every operation switched on, and no generator moves on."""
    if augment is None: return
    refuse_other_kinds(augment)
    with still_generators():
        try: trial = switched_on(augment)
        except Exception: return  # it cannot be copied, and the thing itself must not draw
        for seed in range(n_tries(trial)):
            if hasattr(trial, 'set_random_seed'): trial.set_random_seed(seed)
            problem = problem_with(trial, image)
            if problem: raise CourseError(f"augment {problem}: {remedy(trial, image)}.")


@contextmanager
def still_generators():
    "The global generators are afterwards where they were."
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try: yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def refuse_other_kinds(augment):
    "Raises `CourseError` for what is not called as albumentations' transforms are."
    name = getattr(augment, '__name__', type(augment).__name__)
    if isinstance(augment, type):
        raise CourseError(f"augment is the class {name}, but it can only be a transform: call it, as in {FLIP_EXAMPLE}.")
    if is_of('albumentations', augment): return
    if isinstance(augment, (list, tuple, dict)):
        raise CourseError(f"augment is a {name}, but it can only be one transform: wrap what is in it, A.Compose([…]).")
    if is_of('torchvision', augment):
        raise CourseError(f"augment is {name} of torchvision, but it can only be a transform of albumentations, which takes and gives arrays: {FLIP_EXAMPLE} for one.")
    if isinstance(augment, torch.nn.Module) or not callable(augment):
        raise CourseError(f"augment is {augment!r}, but it can only be a transform of albumentations: {FLIP_EXAMPLE} for one.")


def is_of(library: str, thing) -> bool:
    "Does its class, or one that it is made from, come from this library? Asked by name: the library need not be imported."
    modules = [cls.__module__ for cls in type(thing).__mro__]
    return any(module.split('.')[0] == library for module in modules)


def switched_on(augment):
    "A copy in which every operation that may happen does."
    trial = copy.deepcopy(augment)
    for part in (trial, *all_parts(trial)):
        if getattr(part, 'p', 0): part.p = 1.
        chances = getattr(part, 'transforms_ps', None)  # of OneOf and SomeOf
        if chances: part.transforms_ps = equal_chances(chances)
    return trial


def equal_chances(chances: list) -> list:
    "The same chance for all that have one."
    n_possible = sum(p > 0 for p in chances)
    return [float(p > 0) / n_possible for p in chances]


def all_parts(augment) -> list:
    "All that a composition is made of, down to single operations."
    parts = []
    for part in getattr(augment, 'transforms', ()): parts += [part, *all_parts(part)]
    return parts


def n_tries(augment) -> int:
    "How many draws show all that a transform may do; many where it draws among operations."
    parts = [augment, *all_parts(augment)]
    draws = any(type(part).__name__ in CHOICES for part in parts)
    return 4 * len(parts) if draws else 4


def problem_with(augment, image: np.ndarray) -> str:
    "What is wrong with what a transform gives, in a few words; empty where nothing is."
    try: result = augment(image=image.copy())
    except Exception as e:
        first_line = str(e).partition('\n')[0].rstrip('.')
        return f"cannot be applied to a picture ({type(e).__name__}, {first_line})"
    if not isinstance(result, dict) or 'image' not in result: return "does not give {'image': …}, as transforms of albumentations do"
    changed = result['image']
    if torch.is_tensor(changed): return 'gives tensors, but pictures are normalised and made tensors after it'
    if changed.dtype != np.uint8: return f'gives {changed.dtype} instead of uint8, but pictures are normalised after it, and would be so twice'
    if changed.shape == image.shape: return ''
    old_shape, new_shape = ('×'.join(map(str, shape)) for shape in (image.shape, changed.shape))
    return f'turns pictures of {old_shape} into {new_shape}, but they can only keep their shape'


def remedy(augment, image: np.ndarray) -> str:
    "What to leave out, or how to wrap it."
    if not is_of('albumentations', augment):
        return 'a function f of arrays is wrapped as A.Compose([A.Lambda(image=lambda x, **_: f(x))])'
    singles = [part for part in all_parts(augment) or [augment] if not hasattr(part, 'transforms')]
    names = [type(operation).__name__ for operation in singles if problem_with(operation, image)]
    if not names: return 'try its operations one by one'
    height, width = image.shape[:2]
    replacement = f', or take A.RandomResizedCrop(({height}, {width}))' if any('Crop' in name for name in names) else ''
    return f"leave {' and '.join(dict.fromkeys(names))} out{replacement}"
