"""The data sets of the four articles, a module each: where it lies, how its archives become class folders (`list_…`), and
how pictures become archives of the same layout for `make mirror` (`pack_…`). Licences: as far as the pages say."""
from data_scripts.datasets.sources.cats_dogs import CATS_DOGS
from data_scripts.datasets.sources.cifar import CIFAR10, CIFAR100
from data_scripts.datasets.sources.dog_breeds import DOG_BREEDS
from data_scripts.datasets.sources.pets import PETS
from data_scripts.datasets.sources.rock_paper_scissors import ROCK_PAPER_SCISSORS

SOURCES = {
    'cats_dogs': CATS_DOGS,
    'rock_paper_scissors': ROCK_PAPER_SCISSORS,
    'dog_breeds': DOG_BREEDS,
    'cifar100': CIFAR100,
    'cifar10': CIFAR10,
    'pets': PETS,
}
