"""From what a folder was seen to hold to a table: spellings of a class become one, a part is held out, and what does not
fit is refused. Every kind of layout (`layouts`, `lists`, `tables`) ends here, so the rules stand once."""
import unicodedata
from dataclasses import dataclass, field

import pandas as pd

from course_utils.config import CourseError
from course_utils.data.listing import counted, some_names
from course_utils.data.parts import class_key


@dataclass(frozen=True)
class Reading:
    "How a learner wants a folder to be read; see `pictures.load_pictures`."
    pattern: str | None = None
    csv: str | bool | None = None
    file_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    pool: bool = False  # all parts as one, to be split anew

    @property
    def is_default(self) -> bool:
        "Is a folder to be read as it lies?"
        return self == Reading(pool=self.pool)


AS_IT_LIES = Reading()


@dataclass
class Rows:
    "What the reader of one kind of layout found."
    rows: list  # of (path, name of the class, part): a name '' where it is not known, a part '' where there are none
    read_as: str
    notes: list = field(default_factory=list)  # sentences
    lost: dict = field(default_factory=dict)   # path → why it could not be followed
    part_names: dict = field(default_factory=dict)  # `train`, `valid`, `test` → how the folder or file is called
    reading: Reading = AS_IT_LIES                    # the columns of a table
    groups: dict = field(default_factory=dict)       # path → what is held out as a whole, where a table says it

    def called(self, part: str) -> str:
        "How a part is called where it lies."
        return self.part_names.get(part, part)


@dataclass
class Layout:
    "A data set's files, and how they were read."
    table: pd.DataFrame  # a row per file: path, label, stratum, split (empty where there is none) and more
    classes: list        # names, in the order of the labels
    notes: list = field(default_factory=list)  # sentences: how it was read, what was left out
    lost: dict = field(default_factory=dict)   # path → why it could not be followed


def to_layout(name: str, found: Rows, reading: Reading) -> Layout:
    "The layout of what was found. Raises `CourseError` where it cannot be learnt from as it lies."
    table = pd.DataFrame(found.rows, columns=['path', 'label', 'split'], dtype=object)
    notes = [f'Read as: {found.read_as}.', *found.notes]
    notes += one_spelling(table)
    if reading.pool: table, more_notes = parts_pooled(table)
    elif (table.split != '').any(): table, more_notes = in_parts(name, table, found)
    else: table, more_notes = labelled(table)
    classes = sorted(table.label.unique())
    table['stratum'] = table.label
    numbers = {label: i for i, label in enumerate(classes)}
    table['label'] = table.label.map(numbers).astype(int)
    columns = ['path', 'label', 'split', 'stratum']
    if reading.group_column:
        table['group'] = groups_of(table, found, reading)
        columns.append('group')
    table = table[columns].reset_index(drop=True)
    return Layout(table, classes, notes + more_notes, found.lost)


def groups_of(table: pd.DataFrame, found: Rows, reading: Reading) -> list:
    "The group of each file. One without is a group of its own. Raises `CourseError` where no table has the column."
    if not found.groups:
        raise CourseError(f"group_column='{reading.group_column}' names a column of a table, and no table was read: pass csv='…' with the table of files, classes and groups.")
    return [found.groups.get(path) or path for path in table.path]


def one_spelling(table: pd.DataFrame) -> list:
    "Classes whose names differ in case or in composed accents become one, called as in training. Returns notes."
    is_train = table.split == 'train'
    trained = sorted(table.label[is_train].unique())
    untrained = sorted(table.label[~is_train].unique())
    spelling, notes = {}, []
    for name in trained + untrained:
        spelled = spelling.setdefault(class_key(name), name)
        if spelled == name: continue
        is_same_text = unicodedata.normalize('NFC', spelled) == unicodedata.normalize('NFC', name)
        difference = 'how accents are composed' if is_same_text else 'case'
        notes.append(f"'{spelled}' and '{name}' differ only in {difference}: they are one class, '{spelled}'.")
    if notes: table['label'] = [spelling[class_key(label)] for label in table.label]
    return list(dict.fromkeys(notes))


# ---- no parts, or parts that are not wanted ----

def labelled(table: pd.DataFrame) -> tuple[pd.DataFrame, list]:
    "The files whose class is known, and a note on the others."
    known = table.label != ''
    if known.all(): return table, []
    return table[known].copy(), [f"Left out: {counted((~known).sum(), 'file')} without a class."]


def parts_pooled(table: pd.DataFrame) -> tuple[pd.DataFrame, list]:
    "All parts as one."
    had_parts = (table.split != '').any()
    table, notes = labelled(table)
    table['split'] = ''
    if had_parts: notes.append("All labelled parts are pooled and split anew, as split='random' asks.")
    return table, notes


# ---- parts ----

def in_parts(name: str, table: pd.DataFrame, found: Rows) -> tuple[pd.DataFrame, list]:
    "The training part and one held out: the valid part, or the test part where there is none."
    by_part = dict(list(table.groupby('split', sort=False)))
    train = by_part.pop('train', table[:0])
    classes = set(train.label) - {''}
    if not classes: raise CourseError(f"{name} has no training pictures whose class is known: name the training part train, or pass split='random' to split all labelled pictures anew.")
    notes = []
    usable = {}
    for part, rows in by_part.items():
        if part in ('valid', 'test') and classes & set(rows.label): usable[part] = rows
        else: notes.append(unlabelled_note(found.called(part), rows))
    check_trained(name, classes, usable, found)
    train, more_notes = labelled(train)
    notes += more_notes
    if not usable:
        notes.append(f"So no part is held out as the folder lies: a share of {found.called('train')} is held out instead.")
        return train.assign(split=''), notes
    held_out, *unused = sorted(usable, key=('valid', 'test').index)
    for part in unused:
        notes.append(f"{found.called(part)} ({counted(len(usable[part]), 'file')}) stays unseen: {found.called(held_out)} is held out.")
    valid, more_notes = labelled(usable[held_out])
    notes += more_notes
    return pd.concat([train, valid.assign(split='valid')]), notes


def unlabelled_note(part: str, rows: pd.DataFrame) -> str:
    "Why a part cannot be held out."
    named = sorted(set(rows.label) - {''})
    if not named: return f"{part} has {counted(len(rows), 'file')} whose class is not known: they cannot be held out and were left out."
    return f"{part} has none of the classes of training (it has {some_names(named)}): its {counted(len(rows), 'file')} cannot be held out and were left out."


def check_trained(name: str, classes: set, usable: dict, found: Rows):
    "Raises `CourseError` for classes that are held out and never trained."
    for part, rows in usable.items():
        never = sorted(set(rows.label) - classes - {''})
        if not never: continue
        part, train = found.called(part), found.called('train')
        if len(classes) == 1:
            raise CourseError(f"{name} has one class to train on ('{min(classes)}' in {train}), and {part} has {some_names(never)} as well: a classifier needs every class in training, so pass split='random' to pool the parts and split them anew.")
        raise CourseError(f"{name} has classes that are held out and never trained: {some_names(never)} in {part}, not in {train}. Put pictures of them into {train}, rename them as there, or pass split='random' to pool the parts and split them anew.")
