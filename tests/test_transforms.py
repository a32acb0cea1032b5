"What `augment` may be: pictures are normalised once, and whatever gives something else than pictures gets one sentence before the training."
import random, warnings

import albumentations as A, numpy as np, pytest, torch, torchvision.transforms.v2 as v2
from albumentations.pytorch import ToTensorV2

from course_utils.config import CourseError
from course_utils.data.check_augment import check_augment
from course_utils.data.loader import PictureLoader
from course_utils.data.pictures import load_pictures
from course_utils.techniques.augment import bending, pipeline
from course_utils.training.learner import make_learner
from course_utils.training.recipe import Recipe
from course_utils.training.train import train

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def keep(x, **_): return x
def halve(x, **_): return x / 255
def plain(x): return x


RIGHT = {
    'none': None,
    'one operation': A.HorizontalFlip(),
    'composition': A.Compose([A.HorizontalFlip(p=.5), A.Rotate()]),
    'preset': bending(),
    'pipeline': pipeline(.3),
    'cut and resized': A.Compose([A.RandomCrop(48, 48), A.Resize(64, 64)]),
    'cut to size': A.RandomResizedCrop((64, 64)),
    'one of': A.OneOf([A.HorizontalFlip(), A.Blur(), A.RandomResizedCrop((64, 64))]),
    'some of': A.SomeOf([A.HorizontalFlip(), A.Blur(), A.GaussNoise()], n=2),
    'replay': A.ReplayCompose([A.HorizontalFlip()]),
    'there and back': A.Compose([A.ToFloat(), A.HorizontalFlip(), A.FromFloat(dtype='uint8')]),
    'grey': A.ToGray(p=.5),
    'a wrapped function': A.Compose([A.Lambda(image=keep)]),
    'switched off': A.Compose([A.Normalize(p=0), A.HorizontalFlip()]),
    'a function that is called alike': lambda image: dict(image=image[:, ::-1]),
}
TWICE = 'augment gives float32 instead of uint8, but pictures are normalised after it, and would be so twice: leave'
WRONG = {  # name → transform, what the sentence says
    'normalised': (A.Compose([A.HorizontalFlip(), A.Normalize()]), f'{TWICE} Normalize out.'),
    'seldom normalised': (A.Compose([A.HorizontalFlip(), A.Normalize(p=.01)]), f'{TWICE} Normalize out.'),
    'one of them normalises': (A.OneOf([A.HorizontalFlip(), A.Blur(), A.VerticalFlip(), A.Normalize(p=.1)]), f'{TWICE} Normalize out.'),
    'fractions': (A.Compose([A.ToFloat(max_value=255)]), f'{TWICE} ToFloat out.'),
    'both': (A.Compose([A.Normalize(), ToTensorV2()]), 'augment gives tensors, but pictures are normalised and made tensors after it: leave Normalize and ToTensorV2 out.'),
    'tensors': (ToTensorV2(), 'leave ToTensorV2 out.'),
    'smaller': (A.RandomCrop(48, 48), 'augment turns pictures of 64×64×3 into 48×48×3, but they can only keep their shape: leave RandomCrop out, or take A.RandomResizedCrop((64, 64)).'),
    'resized': (A.Compose([A.Sequential([A.Resize(32, 32)], p=.1)]), 'leave Resize out.'),
    'without colours': (A.ToGray(num_output_channels=1), 'leave ToGray out.'),
    'a function that divides': (A.Compose([A.Lambda(image=halve)]), 'augment gives float64 instead of uint8'),
    'a plain function': (plain, 'a function f of arrays is wrapped as A.Compose([A.Lambda(image=lambda x, **_: f(x))]).'),
    'no dictionary': (lambda image: image, "augment does not give {'image': …}"),
    'a list': ([A.HorizontalFlip()], 'augment is a list, but it can only be one transform: wrap what is in it, A.Compose([…]).'),
    'a class': (A.HorizontalFlip, 'augment is the class HorizontalFlip, but it can only be a transform: call it'),
    'torchvision': (v2.Compose([v2.RandomHorizontalFlip()]), 'augment is Compose of torchvision, but it can only be a transform of albumentations'),
    'one of torchvision': (v2.RandomHorizontalFlip(), 'augment is RandomHorizontalFlip of torchvision'),
    'a network': (torch.nn.Linear(2, 2), 'it can only be a transform of albumentations'),
    'words': ('flip', "augment is 'flip', but"),
}


@pytest.mark.parametrize('name', RIGHT)
def test_what_gives_pictures_is_taken(name): check_augment(RIGHT[name], PICTURE)


def refusal(augment):
    with pytest.raises(CourseError) as e: check_augment(augment, PICTURE)
    return str(e.value)


@pytest.mark.parametrize('name', WRONG)
@pytest.mark.fault
def test_what_gives_something_else_is_refused(name):
    augment, expected = WRONG[name]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        message = refusal(augment)
    assert expected in message
    assert '\n' not in message
    assert message.endswith('.')


def test_no_generator_moves_on():
    "A training's draws are those that it had before there was a check."
    def generators(): return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    def draws(x, **_): return (x * random.random() * np.random.rand() * torch.rand(1).item()).astype(np.uint8)

    before = generators()
    check_augment(A.Compose([A.Lambda(image=draws), A.RandomRotate90(), A.GaussNoise()]), PICTURE)
    assert generators() == before


def test_a_checked_transform_draws_as_one_that_was_not():
    checked, fresh = pipeline(.3, seed=5), pipeline(.3, seed=5)
    check_augment(checked, PICTURE)
    for _ in range(10): assert np.array_equal(checked(image=PICTURE)['image'], fresh(image=PICTURE)['image'])


@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=64, limit=120, cache=False)


@pytest.mark.parametrize('use', [
    lambda pics, augment: pics.loaders((.5,) * 3, (.5,) * 3, tfm=augment),
    lambda pics, augment: PictureLoader(pics.x, pics.y, (.5,) * 3, (.5,) * 3, tfm=augment),
    lambda pics, augment: make_learner(pics, Recipe('resnet10t', 1, augment=augment), quiet=True, device='cpu'),
    lambda pics, augment: train(pics, Recipe('resnet10t', 1, augment=augment), quiet=True, device='cpu'),
])
@pytest.mark.fault
def test_every_way_to_train_says_so_before_it_does(pics, use):
    with pytest.raises(CourseError, match='leave Normalize out'): use(pics, A.Normalize())
