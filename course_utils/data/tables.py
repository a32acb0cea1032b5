"""Tables that say which file shows which class: CSV, TSV and JSON lines, as Kaggle and Hugging Face have them.

A column names the files if at least `FOUND_SHARE` of its values are found; a column holds the classes if it is called as
they usually are, or if no other could. What is not clear is refused, with the columns named."""
import io, json, os, re, unicodedata
from pathlib import Path

import pandas as pd

from course_utils.config import CourseError
from course_utils.data.listing import Folder, counted, is_picture_name, list_folder, some_names
from course_utils.data.parts import found_splits, is_beside, is_split, part_named
from course_utils.data.rows import Reading, Rows

TABLE_ENDINGS = {'.csv': ',', '.tsv': '\t', '.jsonl': None}  # → separator
FOUND_SHARE = .9

# As they are called most often, without separators.
FILE_COLUMNS = '''filename file filepath filepaths path imagepath imagefile imagename image imageid img imgname id idcode name'''.split()
LABEL_COLUMNS = '''label labels labelname class classname classlabel classid classes category categoryid breed species
    diagnosis dx target family type'''.split()
SPLIT_COLUMNS = '''split set dataset subset partition phase fold part isvalid istest'''.split()
HELD_OUT_COLUMNS = dict(isvalid='valid', istest='test')  # of True and False
ONE_HOT_VALUES = {'0', '1', '0.0', '1.0', ''}
TRUTHS = {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}


class NoFiles(CourseError):
    "The table names no files: it is about something else."


# ---- which file is meant ----

class FileIndex:
    "Finds a file by what a table calls it: a path or the end of one, with or without the ending."
    def __init__(self, tree: Folder):
        self.root = tree.path
        self.paths = [path for path in labelled_paths(tree) if is_picture_name(path)] or labelled_paths(tree)
        self.places = {}  # end of a path → the path, or None where two files end so
        for path in self.paths:
            for end in path_ends(os.path.relpath(path, self.root)):
                self.places[end] = path if self.places.get(end, path) == path else None

    def find(self, value: str) -> str | None:
        "The path of a file, or None where there is none or more than one."
        parts = table_path(value).split('/')
        for k in range(len(parts)):
            path = self.places.get('/'.join(parts[k:]))
            if path: return path
        joined = os.path.join(self.root, value)
        return joined if is_picture_name(value) and os.path.isfile(joined) else None

    def find_all(self, values) -> list:
        "`find` for each value, once for those that repeat."
        paths = {value: self.find(str(value)) for value in set(values)}
        return [paths[value] for value in values]


def labelled_paths(tree: Folder) -> list:
    "Files below a folder, but for those of masks and annotations."
    paths = []
    for entry in tree.entries.values():
        if isinstance(entry, str): paths.append(entry)
        elif not is_beside(entry.name): paths += labelled_paths(entry)
    return paths


def table_path(value: str) -> str:
    "A path as tables write it, with / between its parts."
    path = unicodedata.normalize('NFC', value.strip()).replace('\\', '/')
    return path.removeprefix('./')


def path_ends(relative: str):
    "'a/b.png' → 'a/b.png', 'a/b', 'b.png', 'b'."
    parts = table_path(relative).split('/')
    for k in range(len(parts)):
        end = '/'.join(parts[k:])
        yield end
        if is_picture_name(end): yield os.path.splitext(end)[0]


# ---- reading a table ----

def is_table_name(name: str) -> bool:
    "Does a name end as tables' names do?"
    return os.path.splitext(str(name))[1].lower() in TABLE_ENDINGS


def read_table(path) -> pd.DataFrame:  # all of it strings, '' where a value is missing
    "A CSV, TSV or JSONL file. Raises `CourseError` where it is none."
    path = Path(path)
    try: text = read_text(path)
    except OSError as e: raise CourseError(f"The table {path} cannot be read ({e.strerror}): give load_pictures(csv=…) a file that is there.") from None
    try:
        if path.suffix.lower() == '.jsonl': return json_lines(text)
        return separated(text, TABLE_ENDINGS.get(path.suffix.lower(), ','))
    except (ValueError, TypeError) as e:  # pandas' own errors are ValueErrors
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise CourseError(f"{path} is no table that can be read ({reason}): it needs a first line with the names of its columns and a line for each picture.") from None


def read_text(path: Path) -> str:
    data = path.read_bytes()
    try: return data.decode('utf-8-sig')
    except UnicodeDecodeError: return data.decode('latin-1')


def separated(text: str, separator: str) -> pd.DataFrame:
    "Columns between commas, semicolons or tabs: what the first line has most of."
    first = text.lstrip().split('\n', 1)[0]
    separator = max((separator, ';', '\t'), key=first.count)
    table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, skipinitialspace=True, index_col=False)
    table.columns = [str(column).strip() for column in table.columns]
    return table.map(str.strip)


def json_lines(text: str) -> pd.DataFrame:
    "An object a line. Lists and objects in it are no labels."
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    table = pd.DataFrame(rows)
    is_nested = table.map(lambda value: isinstance(value, (list, dict)))
    table = table.loc[:, ~is_nested.any()]
    return table.map(lambda value: '' if value is None or value != value else str(value))


# ---- which column is which ----

def plain_name(column: str) -> str:
    "A column's name without separators: 'Image_ID' → 'imageid'."
    return re.sub(r'[\W_]+', '', str(column)).lower()


def usual(columns, names: list) -> list:
    "The columns that are called by one of some usual names."
    return [column for column in columns if plain_name(column) in names]


def check_column(table: pd.DataFrame, column: str, parameter: str, file: str):
    if column not in table.columns:
        raise CourseError(f"{file} has no column '{column}', which {parameter}= names: it has {some_names(table.columns, 20)}.")


def file_column(table: pd.DataFrame, index: FileIndex, file: str) -> tuple[str, list]:  # its name; a path or None for each row
    "The column that names the files. Raises `NoFiles` where there is none."
    found = {column: index.find_all(table[column]) for column in table.columns}
    shares = {column: share_found(paths) for column, paths in found.items()}
    if not shares: raise NoFiles(f'{file} is empty.')
    first = [column for column in table.columns if is_picture_name(column) and index.find(column)]
    if first: raise CourseError(f"The first line of {file} names a picture ('{first[0]}'), not the columns: put a line with their names above it, such as file,label.")
    # A column of labels may look like names, as 0 and 1 do beside 0.png: names of files hardly repeat.
    n_files = {column: len(set(found[column])) for column, share in shares.items() if share >= FOUND_SHARE}
    if n_files:
        richest = [column for column, n in n_files.items() if n == max(n_files.values())]
        column = (usual(richest, FILE_COLUMNS) or richest)[0]
        return column, found[column]
    best = max(shares, key=shares.get)
    raise NoFiles(f"{file} has the columns {some_names(table.columns, 12)}, and none names the files: of '{best}', the nearest, {shares[best]:.0%} of the rows are found in {index.root}. Pass file_column=, and the folder of the pictures as the first argument.")


def share_found(paths: list) -> float:
    return sum(path is not None for path in paths) / max(len(paths), 1)


def label_values(table: pd.DataFrame, taken: set, file: str) -> tuple[str, pd.Series]:  # its name; a class a row
    "The column, or columns of 0 and 1, that hold the classes. Raises `CourseError` where that is not clear."
    columns = [column for column in table.columns if column not in taken]
    named = one_partition(table, usual(columns, LABEL_COLUMNS))
    if len(named) == 1: return named[0], table[named[0]]
    if not named:
        binary, values = one_hot(table, columns)
        if binary: return some_names(binary), values
        n_values = {column: table[column][table[column] != ''].nunique() for column in columns}
        possible = [column for column, n in n_values.items() if 2 <= n <= len(table) / 2]
        named = one_partition(table, possible)
    if len(named) == 1: return named[0], table[named[0]]
    seen = some_names(named or columns, 12) or 'no other column'
    raise CourseError(f"{file} names the files, but it is not clear which column holds the class (seen: {seen}): pass label_column=, as in load_pictures(csv='{file}', label_column='…').")


def one_hot(table: pd.DataFrame, columns: list) -> tuple[list, pd.Series | None]:  # the columns; a class a row
    "Columns of 0 and 1 of which one is 1 in each row, or none where the class is not known. Empty where there are no such columns."
    binary = [column for column in columns if set(table[column]) <= ONE_HOT_VALUES]
    if len(binary) < 2: return [], None
    is_one = table[binary].isin(['1', '1.0'])
    n_ones = is_one.sum(axis=1)
    n_unlabelled = (n_ones == 0).sum()
    if (n_ones > 1).any() or n_unlabelled > len(table) * (1 - FOUND_SHARE): return [], None
    return binary, is_one.idxmax(axis=1).where(n_ones == 1, '')


def one_partition(table: pd.DataFrame, columns: list) -> list:
    "Columns without those that only repeat another, as class_id repeats class. Words are kept rather than numbers."
    columns = sorted(columns, key=lambda column: table[column].str.fullmatch(r'[\d.]*').all())
    kept = []
    for column in columns:
        repeats = any(is_same_partition(table[column], table[first]) for first in kept)
        if not repeats: kept.append(column)
    return kept


def is_same_partition(a, b) -> bool:
    "Do two columns put the same rows together?"
    pairs = set(zip(a, b))
    return len(pairs) == len(set(a)) == len(set(b))


def split_values(
    table: pd.DataFrame,
    columns: list,       # those that may be it
    wanted: str | None,  # the one that the learner names
    file: str,           # the table's name, for sentences
) -> tuple[str | None, pd.Series | None]:  # its name; a part a row
    "The column that says each row's part, where there is one."
    if wanted: check_column(table, wanted, 'split_column', file)
    for column in [wanted] if wanted else usual(columns, SPLIT_COLUMNS):
        parts = table[column].map(lambda value: row_part(column, value))
        if parts.notna().all() and (wanted or is_split(parts)): return column, parts
    if wanted:
        raise CourseError(f"The column '{wanted}' of {file} has {some_names(sorted(set(table[wanted])))}: it must say train, valid or test in every row.")
    return None, None


def row_part(column: str, value: str) -> str | None:
    "'val' → `valid`; True in is_valid → `valid`."
    held_out = HELD_OUT_COLUMNS.get(plain_name(column))
    if held_out and value.lower() in TRUTHS: return held_out if TRUTHS[value.lower()] else 'train'
    return part_named(value)


# ---- from a table to rows ----

def table_rows(path: str, index: FileIndex, reading: Reading, part: str = '') -> Rows:
    "What one table says. Raises `CourseError` where it is not clear, `NoFiles` where it is about something else."
    file = os.path.basename(path)
    table = read_table(path)
    if reading.file_column:
        check_column(table, reading.file_column, 'file_column', file)
        column, paths = reading.file_column, index.find_all(table[reading.file_column])
        if share_found(paths) == 0: raise NoFiles(f"None of the files in column '{column}' of {file} is found in {index.root}: give load_pictures the folder of the pictures as its first argument.")
    else: column, paths = file_column(table, index, file)
    columns = [name for name in table.columns if name != column]
    split_column, parts = split_values(table, columns, reading.split_column, file)
    if reading.label_column:
        check_column(table, reading.label_column, 'label_column', file)
        label_column, labels = reading.label_column, table[reading.label_column]
    else:
        taken = {column, split_column, reading.group_column} | repeated_files(table, index, columns)
        label_column, labels = label_values(table, taken, file)
    groups = row_groups(table, paths, reading, file)
    if parts is None and part: parts = [part] * len(table)
    elif parts is None: parts = parts_of_paths(paths, index.root)
    notes = row_notes(file, index, paths, labels)
    rows = list(zip(paths, labels, parts))
    rows = one_row_a_file([row for row in rows if row[0] and row[1]], file)
    read_as = f"the table {file}, files in column '{column}', classes in '{label_column}'"
    if split_column: read_as += f", parts in '{split_column}'"
    is_one = label_column in table.columns
    if groups: read_as += f", groups in '{reading.group_column}'"
    used = Reading(file_column=column, label_column=label_column if is_one else None, split_column=split_column,
                   group_column=reading.group_column)
    return Rows(rows, read_as, notes, reading=used, groups=groups)


def row_groups(table: pd.DataFrame, paths: list, reading: Reading, file: str) -> dict:
    "path → its group; empty where no column of groups was named. Raises `CourseError` where the table lacks it."
    if not reading.group_column: return {}
    check_column(table, reading.group_column, 'group_column', file)
    return {path: group for path, group in zip(paths, table[reading.group_column]) if path}


def repeated_files(table: pd.DataFrame, index: FileIndex, columns: list) -> set:
    "Other columns that name a file in every row, all of them different: no classes."
    unique = [column for column in columns if table[column].is_unique]
    return {column for column in unique if share_found(index.find_all(table[column])) >= FOUND_SHARE}


def parts_of_paths(paths: list, root: str) -> list:
    "The part that each file's first folder names; '' for all where these are no split."
    folders = [os.path.relpath(path, root).split(os.sep)[0] for path in paths if path]
    splits = found_splits(set(folders))
    parts = next(iter(splits.values())) if len(splits) == 1 else {}
    if not parts or set(folders) - parts.keys(): return [''] * len(paths)
    remaining = iter(folders)
    return [parts[next(remaining)] if path else '' for path in paths]


def row_notes(file: str, index: FileIndex, paths: list, labels) -> list:
    "Rows without a file, rows without a class, files without a row."
    n_missing = sum(path is None for path in paths)
    n_unlabelled = sum(path is not None and not label for path, label in zip(paths, labels))
    n_extra = len(set(index.paths) - set(paths))
    notes = []
    if n_missing: notes.append(f"{counted(n_missing, 'row')} of {file} name{'s' if n_missing == 1 else ''} no file that is here (or one that cannot be told from another).")
    if n_unlabelled: notes.append(f"{counted(n_unlabelled, 'row')} of {file} ha{'s' if n_unlabelled == 1 else 've'} no class: left out.")
    if n_extra: notes.append(f"{counted(n_extra, 'picture')} without a row in {file}: left out.")
    return notes


def one_row_a_file(rows: list, file: str) -> list:
    "Each file once. Raises `CourseError` for one with two classes."
    first = {}
    for path, label, part in rows:
        known = first.setdefault(path, (path, label, part))
        if known[1] != label:
            raise CourseError(f"{file} gives {os.path.basename(path)} two classes, '{known[1]}' and '{label}': each picture needs one, so mend the table or choose another label_column=.")
        if known[2] != part:
            raise CourseError(f"{file} puts {os.path.basename(path)} into two parts, {known[2]} and {part}: each picture needs one, so mend the table.")
    return list(first.values())


# ---- one table, chosen by the learner ----

def chosen_table(csv: str, folder: str | None, reading: Reading) -> Rows:
    "Reads the table that `csv=` names; its files lie in `folder`, else beside it or in the folder above."
    path = Path(csv).expanduser()
    if folder and not path.is_file(): path = Path(folder)/path
    if not path.is_file(): raise CourseError(f"There is no table {csv}: give load_pictures(csv=…) a .csv, .tsv or .jsonl file.")
    root = Path(folder) if folder else path.parent
    tree = list_folder(root)
    if not folder and not tree.holds_pictures: tree = list_folder(path.parent.parent)
    if not tree.holds_pictures: raise CourseError(f"There are no pictures beside {path}: give load_pictures the folder of the pictures as its first argument, and the table as csv=.")
    found = table_rows(str(path), FileIndex(tree), reading)
    return Rows(found.rows, found.read_as, found.notes, tree.all_lost, groups=found.groups)


# ---- tables that lie in the folder ----

def folder_tables(tree: Folder, reading: Reading) -> Rows | None:
    "What the tables in a folder, or in its folders without class folders, say of its pictures. None where there are none."
    candidates = table_files(tree)
    clear, unclear = {}, []
    for path, part in candidates:
        scope = part_folder(tree, part) or tree
        used = like_first(reading, clear)
        try: found = table_rows(path, FileIndex(scope), used, part)
        except NoFiles: continue
        except CourseError as e:
            if part in ('', 'train'): unclear.append(e)
            continue
        clear.setdefault(part, {})[path] = found
    if not clear and unclear: raise unclear[0]
    return together(tree, clear)


def like_first(reading: Reading, clear: dict) -> Reading:
    "Tables after the first are read by its columns."
    if not clear: return reading
    tables = next(iter(clear.values()))
    return next(iter(tables.values())).reading


def table_files(tree: Folder) -> list:  # of (path, part): train first
    "Tables in a folder, in the folders of its parts, and in folders without pictures. What only asks for predictions is none."
    found = []
    for folder in (tree, *tree.folders):
        folder_part = part_named(folder.name) if folder is not tree else None
        for path in folder.files:
            if not is_table_name(path): continue
            part = part_named(Path(path).stem) or folder_part or ''
            if part != 'unlabelled': found.append((path, part))
    return sorted(found, key=lambda item: ('train', '', 'valid', 'test').index(item[1]))


def part_folder(tree: Folder, part: str) -> Folder | None:
    "The folder of a part's pictures, where there is just one: train_images/ for `train`."
    if not part: return None
    folders = [folder for folder in tree.folders if part_named(folder.name) == part and folder.holds_pictures]
    return folders[0] if len(folders) == 1 else None


def together(tree: Folder, clear: dict) -> Rows | None:
    "The tables of all parts as one; or the only one of the whole."
    if not clear: return None
    chosen = {part: one_table(found) for part, found in clear.items()}
    if not is_split(chosen) or '' in chosen:
        found = chosen.get('train') or next(iter(chosen.values()))
        rows = found.rows
        if not is_split(part for _, _, part in rows): rows = [(path, label, '') for path, label, _ in rows]
        return Rows(rows, found.read_as, found.notes, tree.all_lost, groups=found.groups)
    rows, notes, groups = [], [], {}
    for found in chosen.values():
        rows += found.rows
        notes += found.notes
        groups |= found.groups
    read_as = 'a table for each part: ' + '; '.join(found.read_as for found in chosen.values())
    return Rows(rows, read_as, notes, tree.all_lost, groups=groups)


def labels_by_path(found: Rows) -> dict:
    return {path: label for path, label, _ in found.rows}


def one_table(found: dict) -> Rows:  # path → what that table says
    "The only table, or the first of several that agree. Raises `CourseError` where they do not."
    first, *more = found.values()
    labels = labels_by_path(first)
    for table in more:
        more_labels = labels_by_path(table)
        shared = [(labels[path], more_labels[path]) for path in labels if path in more_labels]
        if shared and is_same_partition(*zip(*shared)): continue
        names = some_names(os.path.basename(path) for path in found)
        raise CourseError(f"Several tables name the files, and they do not agree on the classes ({names}): pass the one that is meant, as csv='…'.")
    return first
