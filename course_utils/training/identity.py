"""What a setting is, told by what it does: two that do the same have one identity, in every session and under every name of a cell.

Numbers, words and lists tell it by themselves, arrays by their content, and functions of installed packages by their name.
Of other functions and classes the compiled code counts, with its defaults, the values that it closes over, and whatever it
uses of its own module, unless that is the course's: a function that was edited in a notebook is another one. Compiled code and not source, because two
lambdas may stand on one line, and because a file may have been edited after it was imported. What cannot be told so raises
`NoIdentity`."""
import dis, hashlib, inspect, json, site, sys, sysconfig
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from types import (
    BuiltinFunctionType, CodeType, EllipsisType, FunctionType, MethodDescriptorType, MethodType, ModuleType, WrapperDescriptorType)

import numpy as np, torch

from course_utils.data.pictures import Pictures

COURSE = 'course_utils'
PYTHON_FOLDERS = [sysconfig.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')]
PACKAGE_FOLDERS = [*site.getsitepackages(), site.getusersitepackages()]
INSTALLED = [Path(folder).resolve() for folder in PYTHON_FOLDERS + PACKAGE_FOLDERS]
GLOBAL_NAMES = {'LOAD_GLOBAL', 'LOAD_NAME'}    # instructions that read a name of the module
BOOKKEEPING = {                                # attributes of a class that say nothing of what it does
    '__module__', '__qualname__', '__doc__', '__dict__', '__weakref__', '__annotations__', '__firstlineno__', '__static_attributes__',
    '__dataclass_fields__', '__dataclass_params__', '__match_args__', '__abstractmethods__', '_abc_impl', '__parameters__', '__orig_bases__',
    '__slotnames__',  # that copying an object leaves on its class
}


class NoIdentity(Exception):
    "Raised with what cannot be told by what it does."


def identity(
    setting,
    visited: dict | None = None,  # id of functions and classes that were told already → the how-manieth it was
):                                # JSON
    "What a setting does, as JSON. Raises `NoIdentity` where that cannot be told."
    visited = {} if visited is None else visited
    if isinstance(setting, (str, int, float, bool, type(None))) and not isinstance(setting, Enum): return setting
    if is_augmentation(setting): return transform_identity(setting, visited)
    for kinds, tell in TELLERS:
        if isinstance(setting, kinds): return tell(setting, visited)
    if is_dataclass(setting): return dataclass_identity(setting, visited)
    if hasattr(setting, '__wrapped__'): return [type(setting).__qualname__, identity(setting.__wrapped__, visited)]
    raise NoIdentity(short_name(setting))


def short_name(thing) -> str:
    "How a sentence calls it: without an address, which would be another one each time."
    kind = type(thing).__name__
    name = getattr(thing, '__qualname__', None)
    return f"'{name}'" if name else f'an object of the kind {kind}'


def sha16(content) -> str:
    "16 hexadecimal digits of bytes, or of anything that is JSON."
    if not isinstance(content, (bytes, memoryview)): content = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:16]


# ---- values ----

def list_identity(values, visited): return [identity(value, visited) for value in values]


def set_identity(values, visited):
    "In an order of its own: that of a set is another one in each session."
    told = [identity(value, visited) for value in values]
    return ['set', sorted(told, key=json.dumps)]


def dict_identity(values, visited):
    has_names = all(isinstance(key, str) for key in values)
    if has_names: return {key: identity(value, visited) for key, value in values.items()}
    return ['dict', [[identity(key, visited), identity(value, visited)] for key, value in values.items()]]


def slice_identity(part, visited): return ['slice', *list_identity([part.start, part.stop, part.step], visited)]


def number_identity(number, visited): return number.item()


def array_identity(array, visited):
    "By its content. An array of objects has none that could be read."
    if array.dtype.hasobject: raise NoIdentity('an array of objects')
    return ['array', str(array.dtype), list(array.shape), sha16(np.ascontiguousarray(array).tobytes())]


def tensor_identity(tensor, visited):
    values = tensor.detach().cpu()
    if values.dtype == torch.bfloat16: values = values.float()
    return [str(tensor.dtype), array_identity(values.numpy(), visited)]


def pictures_identity(pics, visited): return ['Pictures', fingerprint(pics), pics.size]


def fingerprint(pics: Pictures) -> str:  # 16 hexadecimal digits
    "Changes with any picture, label or place in the split."
    digest = hashlib.sha256(np.ascontiguousarray(pics.x))
    digest.update(pics.table[['label', 'split']].to_json().encode())
    digest.update(repr(pics.classes).encode())
    return digest.hexdigest()[:16]


def text_identity(thing, visited): return [type(thing).__qualname__, str(thing)]


def bytes_identity(content, visited): return ['bytes', sha16(bytes(content))]


def dataclass_identity(value, visited):
    "Its fields, and what its class does."
    values = {field.name: getattr(value, field.name) for field in fields(value)}
    return [identity(type(value), visited), dict_identity(values, visited)]


def partial_identity(call, visited):
    return ['partial', identity(call.func, visited), list_identity(call.args, visited), dict_identity(call.keywords, visited)]


def is_augmentation(setting) -> bool:
    "Is it an albumentations transform? Where nobody has imported that library there is none, and a training takes 40 MiB less."
    albumentations = sys.modules.get('albumentations')
    return albumentations is not None and isinstance(setting, (albumentations.BasicTransform, albumentations.BaseCompose))


def transform_identity(transform, visited):
    "Of an augmentation: what albumentations writes of it, and the code of operations that are not its own."
    import albumentations  # where it is used: see `is_augmentation`
    try: told = albumentations.to_dict(with_names(transform))
    except Exception as e: raise NoIdentity(f'an augmentation that albumentations cannot write ({e})') from None
    values = {name: value for name, value in told.items() if name != '__version__'}
    code = [identity(type(operation), visited) for operation in steps_of(transform)]
    lambdas = [lambda_identity(operation, visited) for operation in steps_of(transform) if isinstance(operation, albumentations.Lambda)]
    return ['augmentation', identity(values, visited), code, lambdas]


def lambda_identity(operation, visited):
    "albumentations writes the name of a `Lambda` and nothing else."
    return [operation.p, dict_identity(operation.custom_apply_fns, visited)]


def steps_of(transform) -> list:
    "The operations of an augmentation, those inside others among them."
    inner = getattr(transform, 'transforms', None)
    if inner is None: return [transform]
    return [operation for part in inner for operation in steps_of(part)]


def with_names(transform):
    "albumentations writes no `Lambda` without a name."
    import albumentations  # where it is used: see `is_augmentation`
    for operation in steps_of(transform):
        if isinstance(operation, albumentations.Lambda) and operation.name is None: operation.name = 'Lambda'
    return transform


# ---- functions and classes ----

def module_file(thing) -> str:
    "The file that a function or class comes from; empty where there is none."
    if isinstance(thing, FunctionType): return thing.__code__.co_filename
    module = sys.modules.get(getattr(thing, '__module__', None) or '')
    return getattr(module, '__file__', None) or ''


def is_installed(thing) -> bool:
    "Does it come with Python or from an installed package, whose version says what it does? The course is no such package."
    module = getattr(thing, '__module__', None) or ''
    if is_of_course(module) or module == '__main__': return False
    file = module_file(thing)
    if file.startswith('<frozen'): return True
    if not file: return module in sys.builtin_module_names
    return is_in_installed(file)


def is_of_course(module: str) -> bool: return module.split('.')[0] == COURSE


def is_in_installed(file: str) -> bool:
    path = Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in INSTALLED)


def named(thing) -> str: return f'{thing.__module__}.{thing.__qualname__}'


def installed_name(thing) -> list:
    "The name of a function or class of an installed package, and the version of that package."
    package = thing.__module__.split('.')[0]
    try: return [named(thing), version(package)]
    except PackageNotFoundError: return [named(thing), '']  # Python's own, or a package that is named otherwise


def builtin_identity(function, visited):
    "A compiled function, by its name. One that belongs to an object is known by nothing."
    owner = function.__self__
    if owner is None or isinstance(owner, ModuleType | type): return ['compiled', str(function.__module__), function.__qualname__]
    raise NoIdentity(short_name(function))


def compiled_identity(function, visited):
    owner = getattr(function, '__objclass__', type(function))
    return ['compiled', owner.__qualname__, function.__name__]


def method_identity(method, visited): return ['method', identity(method.__func__, visited), identity(method.__self__, visited)]


def module_identity(module, visited): return ['module', module.__name__]


def function_identity(function, visited):
    "Name, code, defaults, what it closes over, and what it uses of its module."
    if is_installed(function): return installed_name(function)
    if id(function) in visited: return ['again', visited[id(function)]]
    visited[id(function)] = len(visited)
    told = dict(
        code=sha16(code_parts(function.__code__)),
        defaults=identity([function.__defaults__, function.__kwdefaults__], visited),
        closure=closure_identity(function, visited),
    )
    if not is_of_course(function.__module__ or ''): told['uses'] = used_identity(function, visited)
    return [named(function), told]


def closure_identity(function, visited) -> dict:
    "Values that a function closes over, by name."
    told = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try: value = cell.cell_contents
        except ValueError: continue  # not set yet
        told[name] = part_identity(function, name, value, visited)
    return told


def part_identity(function, name: str, value, visited):
    "Something that a function uses. Raises `NoIdentity` that names it."
    try: return identity(value, visited)
    except NoIdentity as e: raise NoIdentity(f"'{function.__qualname__}', which uses {name} ({e})") from None


def used_identity(function, visited) -> dict:
    "What a function reads of its module by name: other functions, classes and plain values."
    told = {}
    attributes = attribute_names(function.__code__)
    for name in sorted(global_names(function.__code__)):
        if name not in function.__globals__: continue  # one of Python's own, or not there yet
        value = function.__globals__[name]
        told[name] = part_identity(function, name, value, visited)
        if isinstance(value, ModuleType) and is_local(value):
            used = {key: getattr(value, key) for key in sorted(attributes) if hasattr(value, key)}
            told[name] = part_identity(function, name, used, visited)
    return told


def is_local(module: ModuleType) -> bool:
    "A module that lies beside the notebook, say: neither installed nor the course's."
    file = getattr(module, '__file__', None)
    if not file or is_of_course(module.__name__): return False
    return not is_in_installed(file)


def nested_codes(code: CodeType) -> list:
    "A function's code and that of the functions in it."
    inner = [nested for const in code.co_consts if isinstance(const, CodeType) for nested in nested_codes(const)]
    return [code, *inner]


def global_names(code: CodeType) -> set:
    "Names that a function and those in it look up in their module."
    instructions = [step for part in nested_codes(code) for step in dis.get_instructions(part)]
    return {step.argval for step in instructions if step.opname in GLOBAL_NAMES}


def attribute_names(code: CodeType) -> set:
    return {name for part in nested_codes(code) for name in part.co_names}


def code_parts(code: CodeType) -> list:
    "All of compiled code that says what it does: no line numbers, no file."
    return [
        code.co_code.hex(), code.co_exceptiontable.hex(), [const_parts(const) for const in code.co_consts],
        code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags,
    ]


def const_parts(const) -> list:
    "A constant with its kind: 1, 1.0 and True are three."
    if isinstance(const, CodeType): return ['code', code_parts(const)]
    if isinstance(const, tuple): return ['tuple', [const_parts(part) for part in const]]
    if isinstance(const, frozenset): return ['frozenset', sorted([const_parts(part) for part in const], key=json.dumps)]
    return [type(const).__name__, repr(const)]


def class_identity(kind, visited):
    "Name, the classes it is made from, and its attributes and methods."
    if is_installed(kind): return installed_name(kind)
    if id(kind) in visited: return ['again', visited[id(kind)]]
    visited[id(kind)] = len(visited)
    bases = [identity(base, visited) for base in kind.__bases__]
    members = {}
    for name, value in sorted(vars(kind).items()):
        if is_member(name, value): members[name] = member_identity(kind, name, value, visited)
    return [named(kind), bases, members]


def is_member(name: str, value) -> bool:
    "Does an attribute of a class say what the class does? Descriptors of slots do not, nor do methods that `dataclass` writes."
    if name in BOOKKEEPING: return False
    if inspect.isdatadescriptor(value) and not isinstance(value, property): return False
    return not (isinstance(value, FunctionType) and value.__code__.co_filename == '<string>')


def member_identity(kind: type, name: str, value, visited):
    "An attribute or method of a class. Raises `NoIdentity` that names it."
    if isinstance(value, (staticmethod, classmethod)): value = value.__func__
    elif isinstance(value, property): value = [value.fget, value.fset]
    elif hasattr(value, 'func') and not isinstance(value, partial): value = value.func  # cached_property
    try: return identity(value, visited)
    except NoIdentity as e: raise NoIdentity(f"'{kind.__qualname__}', which has {name} ({e})") from None


TELLERS = [  # kinds → how they are told; the first that fits counts
    (Enum, text_identity),
    ((list, tuple), list_identity),
    ((set, frozenset), set_identity),
    (dict, dict_identity),
    (slice, slice_identity),
    (np.generic, number_identity),
    (np.ndarray, array_identity),
    (torch.Tensor, tensor_identity),
    ((bytes, bytearray), bytes_identity),
    ((PurePath, complex, range, EllipsisType, torch.dtype, torch.device, np.dtype), text_identity),
    (Pictures, pictures_identity),
    (partial, partial_identity),
    (MethodType, method_identity),
    (FunctionType, function_identity),
    (BuiltinFunctionType, builtin_identity),
    ((np.ufunc, MethodDescriptorType, WrapperDescriptorType), compiled_identity),
    (type, class_identity),
    (ModuleType, module_identity),
]
