"""Checks of the machine itself: GPU, memory and cores, room on the disk, folders that can be written."""
import os, shutil, tempfile, warnings
from pathlib import Path

from course_utils.config import cache_dir, data_dir, home_dir, write_whole
from course_utils.machine.checks import CheckResult, error_line, gigabytes, good, home_path, shortened
from course_utils.machine.places import typed_command, with_variable, writable_again

NEEDS = dict(memory=2e9, gpu=3e9, cache=3e9, data=.5e9, home=.01e9)  # bytes
# as torch calls them
BF16_INSTRUCTIONS = ('avx512_bf16', 'amx_bf16', 'bf16')  # two of x86, one of ARM
VNNI_INSTRUCTIONS = ('avx512_vnni', 'avx_vnni', 'dot')  # of bytes, summed in 32 bits: two of x86, one of ARM
WITHOUT_GPU = f"`{with_variable('CUDA_VISIBLE_DEVICES', '', typed_command('lab'))}`"


def gpu_available(cuda) -> bool:
    "torch's answer, without its warnings on stderr."
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return cuda.is_available()


def check_gpu(
    cuda=None,    # as `torch.cuda`
    driver=None,  # is NVIDIA's driver here?
    bf16=None,    # does the processor calculate in bfloat16?
) -> CheckResult:
    "Its name and memory. Without one the course runs, at profile cpu."
    if cuda is None: from torch import cuda
    if driver is None: driver = bool(shutil.which('nvidia-smi'))
    if bf16 is None: bf16 = processor_has_bf16()
    try:
        if not gpu_available(cuda): return no_gpu(driver, bf16)
        name = cuda.get_device_name()
        free, total = cuda.mem_get_info()
    except Exception as error:
        return CheckResult('look', f'one that does not answer ({error_line(error)})', f'{WITHOUT_GPU} does without it.')
    found = f'{name}, {gigabytes(total)}, of which {gigabytes(free)} are free'
    if free >= NEEDS['gpu']: return good(found)
    return CheckResult('look', f"{found}: lessons may need {gigabytes(NEEDS['gpu'])}",
                       f'`nvidia-smi` lists the programs that use it: stop those, or do without it by {WITHOUT_GPU}.')


def processor_has(
    instructions,  # names, any of which will do
) -> bool:
    import torch
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in instructions)


def processor_has_bf16() -> bool:
    "Has the processor instructions for bfloat16? torch calculates in it without them, too, but slowly."
    return processor_has(BF16_INSTRUCTIONS)


def processor_has_vnni() -> bool:
    "Does the processor sum products of bytes in 32 bits? Without such instructions ONNX Runtime sums pairs in 16, which overflow."
    return processor_has(VNNI_INSTRUCTIONS)


def no_gpu(driver: bool, bf16: bool) -> CheckResult:
    "What is said where torch has no GPU to use. `train` calculates in float32 there, whatever the processor has."
    slow = '' if bf16 else ' (the processor has no bfloat16: torch.autocast makes a step several times as long here, and train leaves it off)'
    if not driver: return good(f'none: profile cpu is used, in float32{slow}')
    return CheckResult('look', f"none that torch can use, though NVIDIA's driver is here: profile cpu is used, in float32{slow}",
                       "`nvidia-smi` says whether the driver works; torch's own words are in `.venv/bin/python -c 'import torch; torch.cuda.init()'`.")


CGROUP_FILES = (  # what a container may take, and what it has taken: version 2 and version 1
    ('memory.max', 'memory.current'),
    ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'),
)


def in_container(
    total: int,                    # bytes of the machine
    free: int,                     # bytes that no program uses
    cgroup=Path('/sys/fs/cgroup'),
) -> tuple[int, int]:
    "Bytes that a container leaves of the machine's memory: what it allows, and what of that is not in use yet."
    for limit_file, used_file in CGROUP_FILES:
        if not (cgroup/limit_file).exists(): continue
        limit = (cgroup/limit_file).read_text().strip()
        if not limit.isdigit(): continue  # `max`
        used = int((cgroup/used_file).read_text())
        total = min(total, int(limit))
        free = min(free, max(0, int(limit) - used))
    return total, free


def usable_cores() -> int:
    "Cores that this process may use."
    if hasattr(os, 'sched_getaffinity'): return len(os.sched_getaffinity(0))
    return os.cpu_count()


def check_memory(
    total=None,  # bytes
    free=None,   # bytes
    cores=None,
) -> CheckResult:
    "A container may be given less than the machine has."
    import psutil
    memory = psutil.virtual_memory()
    if total is None: total, free = in_container(memory.total, memory.available)
    cores = cores or usable_cores()
    found = f"{gigabytes(total)}, of which {gigabytes(free)} are free; {cores} core{'s' * (cores > 1)}"
    need = f"{found}: a lesson needs {gigabytes(NEEDS['memory'])}"
    if total < NEEDS['memory']: return CheckResult('bad', need, 'Give this machine or container more memory.')
    if free < NEEDS['memory']:
        return CheckResult('look', need, 'Shut down other kernels (in JupyterLab: Kernel, Shut Down All Kernels) and close other programs.')
    return good(found)


def written_folders() -> dict:  # name of `NEEDS` → (folder, the variable that moves it)
    "Where the course writes."
    return dict(
        cache=(cache_dir(), 'COURSE_CACHE'),
        data=(data_dir(), 'COURSE_DATA_DIR'),
        home=(home_dir(), 'COURSE_HOME'),
    )


def existing_parent(folder: Path) -> Path:
    "The folder itself, or the first above it that is there."
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def folder_bytes(folder: Path) -> int:
    files = [path for path in folder.rglob('*') if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files)


def by_disk(folders: dict) -> list:  # for each disk: [(bytes still needed, folder, variable), …]
    "The folders that share a disk."
    disks = {}
    for name, (folder, variable) in folders.items():
        need = max(NEEDS[name] - folder_bytes(folder), .1 * NEEDS[name])
        disk = os.stat(existing_parent(folder)).st_dev
        disks.setdefault(disk, []).append((need, folder, variable))
    return list(disks.values())


def check_disk(
    usage=shutil.disk_usage,
    folders=None,  # as `written_folders`
) -> CheckResult:
    "Is there room for what the course still writes? Folders on one disk share it."
    found = []
    full = []  # variables that move what has no room
    for rows in by_disk(folders or written_folders()):
        needs, paths, variables = zip(*rows)
        free = usage(existing_parent(paths[0])).free
        names = ', '.join(map(home_path, paths))
        found.append(f'{gigabytes(free)} free for {names}, where up to {gigabytes(sum(needs))} more will lie')
        if free < sum(needs): full += variables
    if not full: return good('; '.join(found))
    rest = f", and so {' and '.join(full[1:])}." if full[1:] else ''
    return CheckResult('bad', '; '.join(found),
                       f"Make room on that disk, or choose a folder on another one: `{with_variable(full[0], '/other/disk/course', typed_command('lab'))}`{rest}")


def try_writing(folder: Path):
    "Writes a file and reads it again. Raises `OSError` where that does not work."
    folder.mkdir(parents=True, exist_ok=True)
    probe = Path(tempfile.mkdtemp(prefix='.doctor-', dir=folder))
    try:
        write_whole(probe/'probe', 'written')
        if (probe/'probe').read_text() != 'written': raise OSError('another text came back')
    finally: shutil.rmtree(probe, ignore_errors=True)


def check_writing(
    folders=None,  # as `written_folders`
) -> CheckResult:
    "Is what is written into the cache and the home what is read again?"
    folders = folders or written_folders()
    refused = []
    for name, (folder, variable) in folders.items():
        if name == 'data' and not folder.exists(): continue  # made when the first data set is fetched
        try: try_writing(folder)
        except OSError as error: refused.append((f'{home_path(folder)} ({error.strerror or error})', folder, variable))
    if not refused:
        names = [home_path(folder) for folder, _ in folders.values() if folder.exists()]
        return good(f"works in {', '.join(names)}")
    _, folder, variable = refused[0]
    return CheckResult('bad', f'refused in {shortened([row[0] for row in refused])}',
                       f'`{writable_again(folder)}` if the folder is yours, else choose another: '
                       f"`{with_variable(variable, '/another/folder', typed_command('lab'))}`")
