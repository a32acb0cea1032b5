"""A list for each part: train.txt, val.txt, test.txt with a path, or a path and a class, a line."""
import os, re
from pathlib import Path

from course_utils.data.listing import Folder, counted
from course_utils.data.parts import is_generic, is_split, part_named
from course_utils.data.rows import Rows
from course_utils.data.tables import FOUND_SHARE, FileIndex, is_same_partition, read_text

LIST_ENDINGS = {'.txt', '.lst'}
CLASSES_FILES = ('classes', 'class_names', 'classnames', 'labels', 'names', 'categories')


def part_lists(tree: Folder) -> Rows | None:
    "train.txt, val.txt, test.txt with a path, or a path and a class, a line. None where there are none."
    for folder in (tree, *tree.folders):
        lists = list_files(folder)
        if not is_split(lists): continue
        index = FileIndex(tree)
        found = {part: named_in_list(path, index) for part, path in lists.items()}
        n_lines = sum(len(lines) for lines, _ in found.values())
        n_missing = sum(missing for _, missing in found.values())
        if not n_lines or n_missing / (n_lines + n_missing) > 1 - FOUND_SHARE: continue
        return lists_rows(tree, folder, lists, found, n_missing)
    return None


def list_files(folder: Folder) -> dict:  # part → path
    "The text files that are called as parts are. Of trainval.txt and train.txt, train.txt."
    lists = {}
    for path in sorted(folder.files, key=len):
        stem, ending = os.path.splitext(os.path.basename(path))
        if ending.lower() not in LIST_ENDINGS: continue
        part = part_named(stem)
        if part and part != 'unlabelled': lists.setdefault(part, path)
    return {part: lists[part] for part in ('train', 'valid', 'test') if part in lists}


def named_in_list(path: str, index: FileIndex) -> tuple[list, int]:  # of (path, label); how many lines name no file
    "What a list names."
    found, n_missing = [], 0
    for line in read_text(Path(path)).splitlines():
        if not line.strip(): continue
        pair = list_line(line.strip(), index)
        if pair: found.append(pair)
        else: n_missing += 1
    return found, n_missing


def list_line(line: str, index: FileIndex) -> tuple | None:  # the path, the label or ''
    "A path alone, a path and a label behind it, or a path and more behind it."
    path = index.find(line)
    if path: return path, ''
    words = re.split(r'[\s,;]+', line)
    for split in (re.split(r'[\s,;]+(?=\S+$)', line), words[:2]):
        path = index.find(split[0]) if len(split) == 2 else None
        if path: return path, split[1]
    return None


def lists_rows(tree: Folder, folder: Folder, lists: dict, found: dict, n_missing: int) -> Rows | None:
    rows = []
    for part, (lines, _) in found.items(): rows += [(path, label, part) for path, label in lines]
    labels = list_labels(tree, folder, rows)
    if labels is None: return None
    rows = [(path, label, part) for (path, _, part), label in zip(rows, labels)]
    names = {part: os.path.relpath(path, tree.path) for part, path in lists.items()}
    notes = []
    if n_missing: notes.append(f"{counted(n_missing, 'line')} of the lists name{'s' if n_missing == 1 else ''} no file that is here.")
    n_extra = len(set(FileIndex(tree).paths) - {row[0] for row in rows})
    if n_extra: notes.append(f"{counted(n_extra, 'picture')} in none of the lists: left out.")
    return Rows(rows, f"a list for each part ({', '.join(names.values())})", notes, tree.all_lost, names)


def list_labels(tree: Folder, folder: Folder, rows: list) -> list | None:
    "A class for each row: as the list has it, by the number in a list of classes, else the folder's name. None where there is none."
    labels = [label for _, label, _ in rows]
    folders = [os.path.basename(os.path.dirname(path)) for path, _, _ in rows]
    in_folders = len(set(folders)) >= 2 and not all(map(is_generic, set(folders)))
    if not all(labels): return folders if in_folders else None
    if not all(label.isdigit() for label in labels): return labels
    if in_folders and is_same_partition(labels, folders): return folders
    names = class_names(tree, folder)
    numbers = sorted(set(map(int, labels)))
    first = 0 if numbers[0] == 0 else 1
    if numbers[-1] - first >= len(names): return labels  # no list of classes, or one of something else
    return [names[int(label) - first] for label in labels]


def class_names(tree: Folder, folder: Folder) -> list:
    "The lines of classes.txt, without a number before the name."
    for path in (*folder.files, *tree.files):
        stem, ending = os.path.splitext(os.path.basename(path))
        if ending != '.txt' or stem.lower() not in CLASSES_FILES: continue
        lines = read_text(Path(path)).splitlines()
        return [re.sub(r'^\d+[\s,:]+', '', line.strip()) for line in lines if line.strip()]
    return []
