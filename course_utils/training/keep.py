"""Finished runs on the disk: kept under what decided them, and found again by it."""
import json, shutil
from dataclasses import is_dataclass, replace
from pathlib import Path

import numpy as np, pandas as pd, torch
from fastai.callback.core import Callback

from course_utils.config import CourseError, cache_dir, file_sha256, whole_folder
from course_utils.data.pictures import Pictures
from course_utils.models import out_of_memory
from course_utils.training.identity import NoIdentity, fingerprint, identity, is_augmentation, sha16
from course_utils.training.learner import build_model, device_name, versions
from course_utils.training.recipe import Recipe
from course_utils.training.run import DataFacts, Run, held_out_files, held_out_groups


def describe(setting):
    """A JSON form of a setting for tables of results, where a function is told by its name. (Kept runs go by `identity`, which
    tells what it does.) Raises `CourseError` for a setting that has none."""
    if isinstance(setting, (str, int, float, bool, type(None))): return setting
    if isinstance(setting, (list, tuple)): return [describe(v) for v in setting]
    if isinstance(setting, dict): return {k: describe(v) for k, v in setting.items()}
    if isinstance(setting, slice): return ['slice', setting.start, setting.stop]
    if isinstance(setting, np.generic): return setting.item()
    if is_augmentation(setting):
        import albumentations  # where it is used: see `is_augmentation`
        if isinstance(setting, albumentations.Compose):
            return describe({k: v for k, v in albumentations.to_dict(setting).items() if k != '__version__'})
    if is_dataclass(setting) and not isinstance(setting, type):
        return [type(setting).__qualname__, describe(vars(setting))]
    if isinstance(setting, type) and issubclass(setting, Callback) and plain_settings(setting):
        return [f'{setting.__module__}.{setting.__qualname__}', plain_settings(setting)]
    if callable(setting) and is_named_function(setting): return f'{setting.__module__}.{setting.__qualname__}'
    raise CourseError(f"A run with {setting!r} in its recipe cannot be found again, so it cannot be kept: pass keep=False, or a named function.")


def is_named_function(setting) -> bool:
    "Can a function or class be told by its name alone? A lambda, and one that closes over values, cannot."
    name = getattr(setting, '__name__', '<lambda>')
    return name != '<lambda>' and not getattr(setting, '__closure__', None)


def plain_settings(callback: type) -> dict:
    "The numbers and words that a class of callbacks is set by: attributes that fastai's own Callback has not."
    own_names = [name for name in dir(callback) if not name.startswith('_') and not hasattr(Callback, name)]
    values = {name: getattr(callback, name) for name in own_names}
    return {name: value for name, value in values.items() if isinstance(value, (bool, int, float, str))}


def run_config(pics: Pictures, recipe: Recipe, device) -> dict:
    "All that decides a run, as JSON: its recipe, the pictures, the device and the versions of the libraries."
    if any(not isinstance(cb, type) for cb in recipe.callbacks):
        raise CourseError("A run with callback objects cannot be found again, so it cannot be kept: pass keep=False, or their classes.")
    try: settings = identity(vars(recipe))
    except NoIdentity as e:
        raise CourseError(f"A run with {e} in its recipe cannot be found again, so it cannot be kept: pass keep=False, or functions that use plain values alone.") from None
    return dict(recipe=settings, data=fingerprint(pics), size=pics.size, device=device_name(device), versions=versions())


def run_key(config: dict) -> str:
    "The name of a kept run's folder: 16 hexadecimal digits."
    return sha16(config)


def run_folder(config: dict) -> Path:
    "Where a run with this configuration is kept."
    return cache_dir()/'runs'/run_key(config)


def digests(folder: Path) -> dict:
    "sha256 of a kept run's files: torch's reader of weights takes a file with a flipped bit for a good one."
    return {name: file_sha256(folder/name) for name in ('valid.npz', 'model.pt')}


def keep_run(run: Run):
    "Keeps a finished run under its configuration. One that is there already is replaced."
    folder = run_folder(run.config)
    shutil.rmtree(folder, ignore_errors=True)
    with whole_folder(folder, 'The finished run') as work:
        (work/'config.json').write_text(json.dumps(run.config, indent=1, sort_keys=True))
        np.savez(work/'valid.npz', probs=run.probs, targets=run.targets, **run.arrays)
        torch.save(run.model.state_dict(), work/'model.pt')
        rows = run.history.to_dict('records')
        history = dict(seconds=run.seconds, rows=rows, data=vars(run.data), sha256=digests(work))
        (work/'history.json').write_text(json.dumps(history))
    run.kept = f'kept as {folder.name}'


def find_run(
    pics: Pictures,
    recipe: Recipe,
    config: dict,          # see `run_config`: it reads all pictures, so it is made once
    device: torch.device,  # where the network goes
) -> Run | None:
    "The run kept under this configuration, or None where there is none or it is damaged. No pickled code runs (`weights_only`)."
    folder = run_folder(config)
    try:
        if json.loads((folder/'config.json').read_text()) != config: return None
        history = json.loads((folder/'history.json').read_text())
        if history['sha256'] != digests(folder): raise ValueError('a file has changed')
        with np.load(folder/'valid.npz') as kept_arrays: arrays = dict(kept_arrays)
        model = build_model(replace(recipe, pretrained=False), len(pics.classes), pics.size)  # its own weights follow
        model.load_state_dict(torch.load(folder/'model.pt', map_location='cpu', weights_only=True))
        return Run(pd.DataFrame(history['rows']), arrays.pop('probs'), arrays.pop('targets'), config, history['seconds'],
                   model.to(device).eval(), kept=f'found as {folder.name}', arrays=arrays, recipe=recipe,
                   data=DataFacts(**history['data']), files=held_out_files(pics), groups=held_out_groups(pics))
    except FileNotFoundError: return None
    except Exception as e:
        if out_of_memory(e): raise
        print(f'The run kept in {folder} is damaged: it is trained again.')
        return None
