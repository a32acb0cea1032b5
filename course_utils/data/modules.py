"""The modules that the solar cells were cut from. The data set does not say them; they are recovered.

How
---
The 2,624 cells lie in the order of their modules. Three things show it.
1. *Type.* Mono and poly follow each other in ten runs. A module is of one type, so it ends where a run ends.
2. *Size.* A module has 60 cells, six rows of ten. The runs of 60, 180, 300, 180, 360, 180 and 180 cells divide by 60.
   The run of 72 is one module of six rows of twelve. The run of 48 is one module, with cells missing or of another make.
   530 and 714 leave 50 and 54: in each one module lacks cells. Its place has to be found.
3. *Pictures.* Cells of one module are lit and cut alike. Where a module ends, the profiles of light along rows and columns
   jump. `data_scripts.datasets.solar_modules` measures the jumps, and puts the short modules where the cuts fit them best.

How sure
--------
- It gives 18 mono and 26 poly modules, 44: the numbers that Deitsch et al. (2019) name.
- Of the 34 cuts within runs, which sizes alone say, 33 are seen as the highest jump within five places. Of the places
  that are no cut 6 % are.
- The place of the module of 54 rests on jumps alone. That of 50 rests on a series that is there twice.

Twice
-----
The fifty cells from number 1735 on are the same as the fifty from number 2277 on, out of focus there. So both series are
of one module, and belong to one group, which is held out as a whole.

Source: Deitsch et al. 2019, Solar Energy 185, doi 10.1016/j.solener.2019.02.067
"""
import numpy as np, pandas as pd

# cells of each module, in the order of the files: made by `python -m data_scripts.datasets.solar_modules`
MODULE_SIZES = (
    60,                                              # mono
    60, 60, 60, 60, 60,                              # poly
    60, 60, 60,                                      # mono
    60, 60, 60, 60, 60, 60,                          # poly
    60, 60, 60, 60, 60, 54, 60, 60, 60, 60, 60, 60,  # mono
    60, 60, 50, 60, 60, 60, 60, 60, 60,              # poly
    72,                                              # mono
    60, 60, 60,                                      # poly
    48,                                              # mono
    60, 60, 60,                                      # poly
)
PICTURED_TWICE = (30, 39)  # numbers of the module that is there twice: fifty of its cells, then all sixty, out of focus
UNSEEN_STARTS = (9,)       # modules whose first cell only their size says: no jump is seen there


def module_numbers() -> np.ndarray:  # `(2624,)`, 1 to 44
    "The module of each solar cell, in the order of the data set's own table."
    numbers = np.arange(1, len(MODULE_SIZES) + 1)
    return np.repeat(numbers, MODULE_SIZES)


def module_groups() -> np.ndarray:  # `(2624,)`
    "What is held out as a whole: the modules, where the two series of the same one are one group."
    first, second = PICTURED_TWICE
    numbers = module_numbers()
    return np.where(numbers == second, first, numbers)


def module_table(
    types,  # `(2624,)`: mono or poly, as in the data set's own table
) -> pd.DataFrame:  # a row a module: type, first (number of its first cell, from 1), cells, known_by
    "The modules, and what says where each begins: its 'type', 'size and pictures', or 'size' alone."
    firsts = np.cumsum([0, *MODULE_SIZES[:-1]])
    module_types = np.asarray(types)[firsts]
    begins_run = np.r_[True, module_types[1:] != module_types[:-1]]
    numbers = np.arange(1, len(firsts) + 1)
    by_size = np.where(np.isin(numbers, UNSEEN_STARTS), 'size', 'size and pictures')
    known_by = np.where(begins_run, 'type', by_size)
    columns = dict(type=module_types, first=firsts + 1, cells=MODULE_SIZES, known_by=known_by)
    return pd.DataFrame(columns, index=pd.Index(numbers, name='module'))
