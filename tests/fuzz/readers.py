"""Reads zips with Python's zipfile and with libarchive, for the target `zip`.

Standard input has zips, each behind its length in four bytes. For each, a line of JSON goes to the standard output.
"""
import ctypes
import io
import json
import locale
import sys
import zipfile
import zlib

locale.setlocale(locale.LC_ALL, "C.UTF-8")
MOST = 1 << 22

ARCHIVE = ctypes.CDLL("libarchive.so.13")
POINTER, TEXT, SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
for name, result, arguments in (
    ("archive_read_new", POINTER, []),
    ("archive_read_support_format_zip", ctypes.c_int, [POINTER]),
    ("archive_read_support_format_zip_streamable", ctypes.c_int, [POINTER]),
    ("archive_read_open_memory", ctypes.c_int, [POINTER, TEXT, SIZE]),
    ("archive_read_next_header", ctypes.c_int, [POINTER, ctypes.POINTER(POINTER)]),
    ("archive_read_data", ctypes.c_ssize_t, [POINTER, POINTER, SIZE]),
    ("archive_read_free", ctypes.c_int, [POINTER]),
    ("archive_entry_pathname", TEXT, [POINTER]),
    ("archive_entry_filetype", ctypes.c_uint, [POINTER]),
    ("archive_entry_symlink", TEXT, [POINTER]),
    ("archive_entry_hardlink", TEXT, [POINTER]),
    ("archive_error_string", TEXT, [POINTER]),
):
    function = getattr(ARCHIVE, name)
    function.restype, function.argtypes = result, arguments

END, WARN, FOLDER, FILE = 1, -20, 0o040000, 0o100000
buffer = ctypes.create_string_buffer(1 << 16)


def python(data):
    entries = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
                name = info.orig_filename.encode(encoding)
                with archive.open(info) as member:
                    content = member.read(MOST)
                entries.append((name.hex(), len(content), zlib.crc32(content), True))
    except Exception as error:
        return {"entries": entries, "error": f"{type(error).__name__}: {error}"}
    return {"entries": entries, "error": None}


def libarchive(data, support):
    archive, entries, error = ARCHIVE.archive_read_new(), [], None
    support(archive)
    try:
        if ARCHIVE.archive_read_open_memory(archive, data, len(data)):
            return {"entries": [], "error": "it cannot be opened"}
        entry = POINTER()
        while error is None:
            status = ARCHIVE.archive_read_next_header(archive, ctypes.byref(entry))
            if status == END:
                break
            if status < WARN:
                error = (ARCHIVE.archive_error_string(archive) or b"?").decode("utf-8", "replace")
                break
            length, crc32 = 0, 0
            while True:
                count = ARCHIVE.archive_read_data(archive, buffer, len(buffer))
                if count <= 0:
                    break
                length, crc32 = length + count, zlib.crc32(buffer.raw[:count], crc32)
            if count < 0:
                error = (ARCHIVE.archive_error_string(archive) or b"?").decode("utf-8", "replace")
                break
            kind = ARCHIVE.archive_entry_filetype(entry)
            link = ARCHIVE.archive_entry_symlink(entry) or ARCHIVE.archive_entry_hardlink(entry)
            name = ARCHIVE.archive_entry_pathname(entry) or b""
            entries.append((name.hex(), length, crc32, kind in (FOLDER, FILE) and not link))
    finally:
        ARCHIVE.archive_read_free(archive)
    return {"entries": entries, "error": error}


while length := sys.stdin.buffer.read(4):
    zip_file = sys.stdin.buffer.read(int.from_bytes(length, "little"))
    print(
        json.dumps(
            {
                "python": python(zip_file),
                "by_directory": libarchive(zip_file, ARCHIVE.archive_read_support_format_zip),
                "by_headers": libarchive(zip_file, ARCHIVE.archive_read_support_format_zip_streamable),
            }
        ),
        flush=True,
    )
