"""Unpacks zip and tar archives. What an archive says of itself is not trusted: nothing is written outside the folder, no
links or devices are made, and no more is written than pictures can unpack to, which hardly compress."""
import gzip, re, stat, tarfile, time, zipfile, zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from course_utils.config import CourseError, format_bytes

ALLOWED = 10        # an archive may unpack to so many times its size,
SPARE = 10_000_000  # and so many bytes more
HEADER = 512        # bytes that count for each file, be it empty

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, UnicodeError)
ODD_NAME = re.compile(r'[\\\x00-\x1f\ud800-\udfff]|^[A-Za-z]:')  # backslashes, control characters, halves of characters, drives


def refusal(name: str, reason: str) -> CourseError:
    "The sentence for an archive that is not unpacked, or not to its end."
    return CourseError(f"{name} was not unpacked: {reason}.")


class SizeLimit:
    "How much an archive may unpack to. Raises `CourseError` for more."
    def __init__(self, path: Path, name: str):
        self.name = name
        self.limit = ALLOWED * path.stat().st_size + SPARE
        self.total = 0

    def add(self, n_bytes: int):
        "One more file, of a declared size."
        self.total += n_bytes + HEADER
        if self.total > self.limit:
            raise refusal(self.name, f'it says that it unpacks to more than {format_bytes(self.limit)}, far more than its size allows')


class LimitedStream:
    "A stream that ends in `CourseError` where it gives more bytes than an archive may unpack to."
    def __init__(self, stream, size_limit: SizeLimit):
        self.stream = stream
        self.name = size_limit.name
        self.left = size_limit.limit + 2 * tarfile.RECORDSIZE

    def read(self, n: int) -> bytes:
        data = self.stream.read(n)
        self.left -= len(data)
        if self.left < 0: raise refusal(self.name, 'it unpacks to far more than its size allows')
        return data


def check_member(member: str, name: str):
    "Raises `CourseError` for a name of a file in an archive that would lead out of the folder, or is none."
    parts = PurePosixPath(member).parts
    leads_out = member.startswith('/') or '..' in parts
    if leads_out or not parts or ODD_NAME.search(member):
        raise refusal(name, f'the name {member!a} leads out of the folder, or is none')


def unpack(
    path: Path,      # a zip, a tar or a tar.gz
    folder: Path,    # where to
    name: str = '',  # the archive's, for sentences
):
    """Unpacks an archive of plain files. Raises `CourseError` for a name that leaves the folder, a link or a device, a
    damaged archive, and for far more than the archive's size, be it declared or real."""
    name = name or path.name
    unpack_files = unpack_zip if zipfile.is_zipfile(path) else unpack_tar
    with tqdm(desc=f'unpacking {name}', unit='file', disable=None, leave=False) as bar:
        try: unpack_files(path, folder, SizeLimit(path, name), bar)
        except DAMAGED as e: raise refusal(name, f'it is damaged ({str(e) or type(e).__name__})') from None


def unpack_zip(path: Path, folder: Path, size_limit: SizeLimit, bar):
    "zipfile reads no more than a file's declared size, so the sum of those is the bound."
    name = size_limit.name
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir(): continue
            check_member(member.filename, name)
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG): raise refusal(name, f'{member.filename!a} is a link or a device')
            is_encrypted = member.flag_bits & 1
            if is_encrypted or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise refusal(name, f'{member.filename!a} is encrypted, or packed in an unusual way')
            size_limit.add(member.file_size)
            written = Path(archive.extract(member, folder))
            if written.stat().st_size != member.file_size: raise refusal(name, f'{member.filename!a} is not as long as the archive says')
            bar.update()


def unpack_tar(path: Path, folder: Path, size_limit: SizeLimit, bar):
    "Read as a stream, so that the real bytes are counted before tarfile makes anything of them."
    name = size_limit.name
    with open(path, 'rb') as file:
        is_gzip = file.read(2) == b'\x1f\x8b'
        file.seek(0)
        stream = LimitedStream(gzip.GzipFile(fileobj=file) if is_gzip else file, size_limit)
        with tarfile.open(fileobj=stream, mode='r|') as archive:
            archive.extraction_filter = getattr(tarfile, 'data_filter', None)  # Python 3.11.4 and later have it
            for member in archive:
                if member.isdir(): continue
                check_member(member.name, name)
                if not member.isreg() or member.issparse(): raise refusal(name, f'{member.name!a} is a link or a device')
                size_limit.add(member.size)
                member.mtime = time.time()  # an archive's own date may be one that no system takes
                member.mode = 0o644
                archive.extract(member, folder)
                bar.update()
