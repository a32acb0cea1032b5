"""How a folder of pictures is laid out: decided from what is seen in it, by the first of these that fits.

1. What the learner asks for: `csv=`, `pattern=`.
2. `part_folders`: train/ and valid/ or test/ (under any usual name, see `parts`) with class folders in them. What lies beside is no class.
3. `parts_in_classes`: class folders that hold train/ and test/ inside.
4. `lists.part_lists`: train.txt and val.txt or test.txt.
5. `class_folders`: a folder for each class. A table beside that says otherwise is refused.
6. `tables.folder_tables`: a table with a column of files and a column of classes.

A folder that holds nothing but one other folder is gone through first. What fits none of these is refused, with what was
seen and what to pass. Nothing is passed by unmentioned: what is left out stands in the notes."""
import os, re
from pathlib import Path

from course_utils.config import CourseError
from course_utils.data.lists import part_lists
from course_utils.data.listing import Folder, contents_in_words, counted, is_picture_name, list_folder, some_names
from course_utils.data.parts import found_splits, is_beside, is_generic, part_named
from course_utils.data.rows import Layout, Reading, Rows, to_layout
from course_utils.data.tables import chosen_table, folder_tables, is_same_partition, is_table_name


def read_layout(
    folder,              # the folder of a data set
    reading: Reading,
    beside: tuple = (),  # names of folders that are known to be no classes
) -> Layout:
    "Lists a folder as its author meant it. Raises `CourseError` where it cannot be told, or there is nothing in it to learn."
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise CourseError(f"There is no folder {folder}: COURSE_DATA needs a folder of class folders or the name of a data set.")
    tree = list_folder(folder)
    tree.entries = {name: entry for name, entry in tree.entries.items() if name not in beside}
    if reading.pattern: found = by_pattern(tree, reading.pattern)
    elif reading.csv: found = chosen_table(reading.csv, str(folder), reading)
    else: found = as_it_lies(tree, reading)
    return to_layout(tree.name, found, reading)


def as_it_lies(tree: Folder, reading: Reading) -> Rows:
    "The first kind of layout that fits."
    outer = tree
    tree, notes = innermost(tree)
    found = part_folders(tree) or parts_in_classes(tree) or part_lists(outer)
    if not found: found = class_folders(tree, outer, reading)
    if not found and reading.csv is not False: found = folder_tables(outer, reading)
    if not found: raise no_classes(outer)
    if tree is not outer:
        found.read_as += f', in {os.path.relpath(tree.path, outer.path)}/'
        found.notes = notes + found.notes
    return found


def innermost(tree: Folder) -> tuple[Folder, list]:
    "The folder in which the folders lie side by side: what holds nothing but one other folder is gone through. Returns notes, too."
    notes = []
    while True:
        holding = [folder for folder in tree.folders if folder.holds_pictures]
        if len(holding) != 1: return tree, notes
        [inner] = holding
        is_deep = any(folder.holds_pictures for folder in inner.folders)
        if not is_deep or len(tree.pictures) > len(inner.all_files): return tree, notes
        notes += beside_notes(tree, holding) + loose_notes(tree)
        tree = inner


# ---- folders that are classes ----

def class_children(folder: Folder) -> list:
    "The folders in a folder that are classes: neither masks, nor parts, nor what only says 'images', nor a copy of the whole."
    holding = [child for child in folder.folders if child.holds_pictures]
    names = {child.name for child in holding}
    children = [child for child in holding if not is_copy(child, names)]
    children = without_doubtful(children, is_beside)
    if all(is_generic(child.name) for child in children) or found_splits(names): return []
    return without_doubtful(children, lambda name: part_named(name) not in (None, 'train'))


def without_doubtful(
    children: list,
    is_left_out,  # a name → whether it hardly names a class
) -> list:
    "Without some, if what remains are still two classes or tells nothing by its names; else all: 'masks' may be a class."
    remaining = [child for child in children if not is_left_out(child.name)]
    if len(remaining) >= 2: return remaining
    only_generic = all(is_generic(child.name) for child in remaining)
    return remaining if remaining and only_generic else children


def is_copy(child: Folder, sibling_names: set) -> bool:
    "Does a folder hold the same folders as the one around it?"
    inner = folder_names(child)
    return len(inner) >= 2 and inner <= sibling_names


def folder_names(folder: Folder) -> set:
    "The names of its folders that hold pictures."
    return {inner.name for inner in folder.folders if inner.holds_pictures}


def labelled_files(folder: Folder, part: str = '') -> list:  # rows
    "The files of class folders, each under its folder's name, and of the others, without a class."
    rows = [(path, '', part) for path in folder.pictures]
    children = class_children(folder)
    for child in children: rows += [(path, child.name, part) for path in child.all_files]
    if children: return rows
    for child in folder.folders:
        if not is_beside(child.name): rows += [(path, '', part) for path in child.all_files]
    return rows


def beside_notes(folder: Folder, used: list) -> list:
    "A sentence on the folders that are none of those that are used."
    unused = [child for child in folder.folders if child not in used]
    if not unused: return []
    shown = [f'{child.name}/ ({contents_in_words(child)})' for child in unused]
    return [f"No class, and left out of {folder.name}/: {some_names(shown, 8)}."]


def loose_notes(folder: Folder) -> list:
    "A sentence on the pictures right in a folder whose folders are the classes."
    if not folder.pictures: return []
    return [f"{counted(len(folder.pictures), 'picture')} right in {folder.name}/, in no class folder: left out."]


def lost_below(folders: list) -> dict:
    "What cannot be followed in some folders: path → why."
    lost = {}
    for folder in folders: lost |= folder.all_lost
    return lost


# ---- the kinds ----

def part_folders(tree: Folder) -> Rows | None:
    "train/ and valid/ or test/, with class folders in them."
    holding = [folder for folder in tree.folders if folder.holds_pictures]
    splits = found_splits(folder.name for folder in holding)
    if not splits: return None
    if len(splits) > 1:
        names = some_names(folder.name for folder in holding)
        raise CourseError(f"The folders of {tree.name} name classes and parts at once ({names}): sort them into train/ and valid/ with class folders in them, or pass a pattern with both, such as pattern=r'^(?P<label>.+)_(?P<split>train|test)/'.")
    [parts] = splits.values()
    rows, notes, used, lost = [], [], [], {}
    for folder in holding:
        part = parts.get(folder.name)
        if part in (None, 'unlabelled'): continue
        used.append(folder)
        inner, inner_notes = innermost(folder)
        notes += inner_notes + class_notes(inner)
        rows += labelled_files(inner, part)
        lost |= folder.all_lost
    if not any(label and part == 'train' for _, label, part in rows): return None
    names = called(used, parts)
    notes = beside_notes(tree, used) + loose_notes(tree) + notes
    return Rows(rows, f"class folders in {', '.join(names.values())}", notes, lost, names)


def class_notes(folder: Folder) -> list:
    "What is worth saying of the class folders in a part."
    classes = class_children(folder)
    if not classes: return []
    notes = beside_notes(folder, classes)
    shared = same_inside(classes)
    if shared: notes.append(f"Every class in {folder.name}/ holds the folders {some_names(shared)}: their files are of the class around them.")
    return notes


def called(folders: list, parts: dict) -> dict:  # part → names of its folders
    "How the parts are called where they lie."
    names = {}
    for folder in folders:
        part = parts[folder.name]
        names[part] = f"{names[part]} and {folder.name}/" if part in names else f'{folder.name}/'
    return {part: names[part] for part in ('train', 'valid', 'test') if part in names}


def parts_in_classes(tree: Folder) -> Rows | None:
    "cats/train, cats/test, dogs/train, dogs/test."
    classes = [folder for folder in tree.folders if folder.holds_pictures]
    splits = {folder.name: found_splits(folder_names(folder)) for folder in classes}
    if len(classes) < 2 or not any(splits.values()): return None
    missing = [name for name, split in splits.items() if len(split) != 1]
    if missing:
        raise CourseError(f"Some folders of {tree.name} hold parts such as train/ and test/, and {some_names(missing)} do not: give every class the same parts, or move away what is no class.")
    rows, notes, training = [], [], []
    for folder in classes:
        [parts] = splits[folder.name].values()
        used = [inner for inner in folder.folders if parts.get(inner.name, 'unlabelled') != 'unlabelled']
        for inner in used: rows += [(path, folder.name, parts[inner.name]) for path in inner.all_files]
        training += [inner for inner in used if parts[inner.name] == 'train']
        notes += beside_notes(folder, used)
        if folder.files: notes.append(f"{counted(len(folder.files), 'file')} right in {folder.name}/, outside its parts: left out.")
    shared = same_inside(training)
    if shared:
        raise CourseError(f"Every folder of {tree.name} ({some_names(splits)}) holds parts with the same folders ({some_names(shared)}), so either may be the classes: give load_pictures one of the outer folders, or pass pattern=r'^(?P<label>[^/]+)/(?P<split>[^/]+)/' for the outer, r'^[^/]+/(?P<split>[^/]+)/(?P<label>[^/]+)/' for the inner as classes.")
    return Rows(rows, 'class folders, with the parts inside each', beside_notes(tree, classes) + notes, lost_below(classes))


def class_folders(tree: Folder, outer: Folder, reading: Reading) -> Rows | None:
    "A folder for each class."
    check_same_inside(tree)
    classes = class_children(tree)
    if not classes: return None
    rows = [(path, child.name, '') for child in classes for path in child.all_files]
    notes = beside_notes(tree, classes)
    notes += loose_notes(tree)
    # A folder whose links have all lost their target may be a class that was not fetched.
    not_fetched = [child for child in tree.folders if child.all_lost and not child.holds_pictures]
    lost = tree.lost | lost_below(classes + not_fetched)
    found = Rows(rows, f'class folders in {tree.name}/' if tree is outer else 'class folders', notes, lost)
    if reading.csv is False: return found
    if len(classes) == 1: return folder_tables(outer, reading) or found  # one folder for all pictures
    check_table(outer, found, reading)
    return found


def same_inside(folders: list) -> list:
    "The names of two folders or more that each of some folders holds; empty where they differ."
    inside = [folder_names(folder) for folder in folders]
    differ = any(names != inside[0] for names in inside)
    if len(inside) < 2 or len(inside[0]) < 2 or differ: return []
    return sorted(inside[0])


def check_same_inside(tree: Folder):
    "Raises `CourseError` where each folder holds the same folders: either may be the classes."
    holding = [folder for folder in tree.folders if folder.holds_pictures]
    shared = same_inside(holding)
    if not shared: return
    names = some_names(folder.name for folder in holding)
    raise CourseError(f"Every folder of {tree.name} ({names}) holds the same folders ({some_names(shared)}), so either may be the classes: call them train and valid if they are parts, give load_pictures one of the outer folders, or pass pattern=r'^(?P<label>[^/]+)/' for the outer, r'^[^/]+/(?P<label>[^/]+)/' for the inner as classes.")


def check_table(outer: Folder, found: Rows, reading: Reading):
    "Raises `CourseError` where a table names the files and puts them into other classes than the folders do."
    try: table = folder_tables(outer, reading)
    except CourseError: return
    if not table: return
    labels = {path: label for path, label, _ in table.rows}
    shared = [(labels[path], folder) for path, folder, _ in found.rows if path in labels]
    if is_same_partition([label for label, _ in shared], [folder for _, folder in shared]): return
    names = some_names(sorted({folder for _, folder in shared}))
    raise CourseError(f"{outer.name} has folders ({names}) and {table.read_as}, and they do not agree: pass csv='…' with that table's name to read it, or csv=False to take the folders as classes.")


# ---- the class in the name ----

def compiled(pattern: str) -> re.Pattern:
    "A learner's pattern. Raises `CourseError` where it is none, or names no class."
    try: expression = re.compile(pattern)
    except re.error as e: raise CourseError(f"pattern={pattern!r} is no regular expression ({e}): try one such as {EXAMPLE}.") from None
    if expression.groups: return expression
    raise CourseError(f"pattern={pattern!r} has no group, so it names no class: put the class in brackets, as in {EXAMPLE}.")


def by_pattern(tree: Folder, pattern: str) -> Rows:
    "Files whose name (or path, where the pattern has a /) matches: the group `label`, else the first, is the class; a group `split` is the part."
    expression = compiled(pattern)
    group = 'label' if 'label' in expression.groupindex else 1
    splits = found_splits(folder_names(tree))
    parts = next(iter(splits.values())) if len(splits) == 1 else {}
    rows, unmatched = [], []
    for path in tree.all_files:
        relative = Path(os.path.relpath(path, tree.path))
        text = relative.as_posix() if '/' in pattern else relative.name
        match = expression.search(text)
        if match and match[group]: rows.append((path, match[group], file_part(match, relative, parts)))
        else: unmatched.append(relative.as_posix())
    if not rows: raise CourseError(f"pattern={pattern!r} matches none of the {len(unmatched):,} files of {tree.name}, such as {some_names(unmatched, 3)}: try one such as {suggested_pattern(unmatched)}.")
    is_in_parts = all(part in ('train', 'valid', 'test') for _, _, part in rows)
    if not is_in_parts: rows = [(path, label, '') for path, label, _ in rows]
    notes = []
    if unmatched: notes.append(f"{counted(len(unmatched), 'file')} whose name does not match the pattern, left out: {some_names(unmatched, 3)}.")
    return Rows(rows, f'classes in the names, by the pattern {pattern}', notes, tree.all_lost)


def file_part(match: re.Match, relative: Path, parts: dict) -> str:
    "The part of a file: what the pattern's group says, else the folder it lies in."
    if 'split' in match.re.groupindex: return part_named(match['split'] or '') or ''
    return parts.get(relative.parts[0], '')


EXAMPLE = r"pattern=r'^(?P<label>[^_.]+)'"
PATTERNS = (  # with the class before the first mark, before the number, behind the last mark
    r'^(?P<label>[^._\-\s]+)[._\-\s]',
    r'^(?P<label>.*?[^\W\d_])[._\-\s]*\d+\.\w+$',
    r'[._\-\s](?P<label>[^._\-\s]+)\.\w+$',
)


def suggested_pattern(names: list) -> str:
    "The pattern that finds two or more classes, each several times, in nearly all names; else an example."
    names = [Path(name).name for name in names]
    for pattern in PATTERNS:
        matches = [re.search(pattern, name) for name in names]
        labels = [match['label'] for match in matches if match]
        n_classes = len(set(labels))
        is_telling = any(not label.isdigit() for label in labels)
        is_general = len(labels) >= .9 * len(names)
        if is_telling and is_general and 2 <= n_classes <= len(names) / 2: return f"pattern=r'{pattern}'"
    return EXAMPLE


# ---- nothing fits ----

def no_classes(tree: Folder) -> CourseError:
    "What was seen, and what to pass."
    pictures = [path for path in tree.all_files if is_picture_name(path)] or tree.all_files
    if not tree.holds_pictures:
        lost = f" ({contents_in_words(tree)})" if tree.all_lost else ''
        return CourseError(f"{tree.path} has no pictures in class folders{lost}: it needs one folder for each class, with that class's pictures in it.")
    tables = [os.path.basename(path) for path in tree.all_files if is_table_name(path)]
    folders = some_names(f'{name}/' for name in sorted(folder_names(tree)))
    names = [os.path.basename(path) for path in pictures]
    seen = f"{counted(len(pictures), 'picture')} ({some_names(names, 3)})"
    if folders: seen += f', in {folders}'
    if tables: seen += f', and the tables {some_names(tables)}, none of which names them'
    return CourseError(f"{tree.path} has no class folders that tell its pictures apart, but {seen}: make one folder for each class, pass csv='…' with a table of files and classes, or, where the class stands in the name, {suggested_pattern(pictures)}.")
