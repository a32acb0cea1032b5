"""What is measured of the code's style, for tests/test_style.py: `python -m tests.style [folder …]` prints it."""
import ast, io, sys, tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

# Determiners, prepositions, pronouns, question words, forms of "say": they read like a sentence to who wrote them, and like a riddle to others.
FUNCTION_WORDS = set('''
    all an another any at above after against along among around as aside away back before behind below beside between both but by
    each either else enough ever every few for from here how if in inside instead into its less like many mine more most much neither no
    none nor not of off on once one only onto or other others otherwise out outside over own per same said say saying says some such than that
    the theirs them then there these they this those through to together too toward under until up upon us via was way what whatever when where
    whether which while who whole whom whose why will with within without would yes yet your'''.split())


def python_files(folders=('course_utils',)) -> list:
    "The files that people edit or read: nbdev's index is neither."
    files = [path for folder in folders for path in sorted((ROOT/folder).rglob('*.py'))]
    return [path for path in files if path.name != '_modidx.py']


def docstring_lines(tree) -> set:
    "Numbers of the lines that docstrings take."
    numbers = set()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)): continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            numbers.update(range(first.lineno, first.end_lineno + 1))
    return numbers


def tokens_by_line(source: str) -> dict:  # number of a line → [kind and text of its tokens]
    "Tokens of each line; a string counts once, where it begins, and a comment not at all."
    by_line = defaultdict(list)
    depth = 0  # inside an f-string, which Python 3.12 and later take apart
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        if name == 'FSTRING_START':
            if not depth: by_line[token.start[0]].append(('STRING', token.string))
            depth += 1
        elif name == 'FSTRING_END': depth -= 1
        elif not depth and token.type not in SILENT: by_line[token.start[0]].append((name, token.string))
    return by_line


def code_lines(source: str) -> dict:  # number → text
    "Lines that hold code: no blank ones, comments or docstrings."
    skip = docstring_lines(ast.parse(source))
    lines = source.splitlines()
    return {n: lines[n - 1] for n in tokens_by_line(source) if n not in skip}


def without_strings(source: str) -> list:
    "The lines with the text of strings and comments taken out: what a reader must parse."
    lines = [list(line) for line in source.splitlines()]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if tokenize.tok_name[token.type] not in ('STRING', 'FSTRING_MIDDLE', 'COMMENT'): continue
        (first, start), (last, end) = token.start, token.end
        for n in range(first, last + 1):
            line = lines[n - 1]
            stop = end if n == last else len(line)
            begin = start if n == first else 0
            for k in range(begin, min(stop, len(line))): line[k] = ''
    return [''.join(line).rstrip() for line in lines]


def assigned_names(tree) -> list:
    "Every name that is given a value: variables, parameters, functions, classes, attributes of self."
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store): names.append(node.id)
        elif isinstance(node, ast.arg): names.append(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)): names.append(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store): names.append(node.attr)
    return names


def is_function_word(name: str) -> bool:
    "Is the name one of `FUNCTION_WORDS`, or made of nothing else?"
    if name.startswith('__'): return False  # Python's own, such as __all__
    return all(word in FUNCTION_WORDS for word in name.lower().strip('_').split('_'))


def nested_comprehensions(tree) -> int:
    "Comprehensions that stand inside another one."
    return sum(isinstance(inner, COMPREHENSIONS) for outer in ast.walk(tree) if isinstance(outer, COMPREHENSIONS)
               for inner in ast.walk(outer) if inner is not outer)


def nested_ternaries(tree) -> int:
    "Conditional expressions that stand inside another one."
    outers = [node for node in ast.walk(tree) if isinstance(node, ast.IfExp)]
    return sum(isinstance(inner, ast.IfExp) for outer in outers for inner in ast.walk(outer) if inner is not outer)


def public_names(files) -> dict:  # name → the files that define it
    "Functions, classes and constants at the top of modules."
    places = defaultdict(set)
    for path in files:
        for node in ast.parse(path.read_text()).body:
            names = [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else []
            if isinstance(node, ast.Assign): names = [t.id for target in node.targets for t in ast.walk(target) if isinstance(t, ast.Name)]
            for name in names:
                if not name.startswith('_'): places[name].add(path.relative_to(ROOT).as_posix())
    return places


def figures(files) -> dict:
    "The figures of CONTRIBUTING.md's table, over these files."
    widths, counts, long_lines, names = [], [], 0, []
    comprehensions = ternaries = 0
    for path in files:
        source = path.read_text()
        tree = ast.parse(source)
        lines, tokens, bare = code_lines(source), tokens_by_line(source), without_strings(source)
        widths += [len(line) for line in lines.values()]
        counts += [len(tokens[n]) for n in lines]
        long_lines += sum(len(bare[n - 1]) > 120 for n in lines)
        names += assigned_names(tree)
        comprehensions += nested_comprehensions(tree)
        ternaries += nested_ternaries(tree)
    n = len(widths)
    return dict(
        lines=n,
        mean_characters=sum(widths) / n,
        over_120_percent=100 * sum(width > 120 for width in widths) / n,
        over_120_outside_strings_percent=100 * long_lines / n,
        mean_tokens=sum(counts) / n,
        tokens_99th_percentile=sorted(counts)[int(.99 * n)],
        nested_comprehensions_per_100=100 * comprehensions / n,
        nested_ternaries=ternaries,
        function_words_percent=100 * sum(map(is_function_word, names)) / len(names),
        names_twice=len([name for name, places in public_names(files).items() if len(places) > 1]),
    )


def worst(files, most=40):
    "Where to begin: the lines with most tokens, and the function words in use."
    rows, words = [], defaultdict(list)
    for path in files:
        source = path.read_text()
        lines, tokens = code_lines(source), tokens_by_line(source)
        place = path.relative_to(ROOT).as_posix()
        rows += [(len(tokens[n]), f'{place}:{n}', line.strip()[:120]) for n, line in lines.items()]
        for name in assigned_names(ast.parse(source)):
            if is_function_word(name): words[name].append(place)
    for row in sorted(rows, reverse=True)[:most]: print(*row)
    for name, places in sorted(words.items(), key=lambda item: -len(item[1])): print(name, len(places), sorted(set(places))[:6])
    for name, places in public_names(files).items():
        if len(places) > 1: print('twice:', name, sorted(places))


if __name__ == '__main__':
    arguments = [a for a in sys.argv[1:] if a != '--worst'] or ['course_utils']
    files = [path for a in arguments for path in ([ROOT/a] if a.endswith('.py') else python_files([a]))]
    for name, value in figures(files).items(): print(f'{name:36} {value:.2f}')
    if '--worst' in sys.argv: worst(files)
