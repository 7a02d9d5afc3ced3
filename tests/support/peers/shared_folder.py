"""A file system as shared folders of virtual machines are: `shared_folder.py FOLDER MOUNT COMMAND...`

It passes files on to FOLDER. It has neither links nor flags of a rename nor attributes. All files have one owner and
one mode, which nobody can change. COMMAND runs while it is mounted. It needs a mount namespace of
its own.

The protocol: https://www.kernel.org/doc/html/latest/filesystems/fuse.html and <linux/fuse.h>.
"""

import ctypes
import errno
import os
import signal
import stat
import struct
import subprocess
import sys

# Another user than this one, if the namespace has any.
OWNER = 0 if open("/proc/self/uid_map").read().split()[2] == "1" else 1000
MODE = 0o777
LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, RENAME = 1, 2, 3, 4, 10, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 14, 15, 16, 17, 18, 20, 25, 26
OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, ACCESS, CREATE, BATCH_FORGET = 27, 28, 29, 30, 34, 35, 42
# Of a change of attributes.
HAS_MODE, HAS_SIZE = 1, 8


class Files:
    """The files by node, which stays that of a file when it is renamed."""

    def __init__(self, folder):
        self.folder, self.paths, self.nodes, self.open = folder, {1: ""}, {"": 1}, {}

    def real(self, path):
        return os.path.join(self.folder, path)

    def child(self, node, name):
        return os.path.join(self.paths[node], name.split(b"\0")[0].decode())

    def node(self, path):
        if path not in self.nodes:
            self.nodes[path] = len(self.paths) + 1
            self.paths[self.nodes[path]] = path
        return self.nodes[path]

    def forget(self, path):
        # The node remains, for those that have the file open.
        if path in self.nodes:
            self.paths[self.nodes.pop(path)] = None

    def attributes(self, node):
        path = self.paths[node]
        if path is not None:
            about = os.lstat(self.real(path))
        else:
            about = next(os.fstat(fd) for its, fd in self.open.values() if its == node)
        times = int(about.st_atime), int(about.st_mtime), int(about.st_ctime)
        mode = stat.S_IFMT(about.st_mode) | MODE
        return struct.pack("<6Q3I7I", node, about.st_size, about.st_blocks, *times, 0, 0, 0,
                           mode, 1, OWNER, OWNER, 0, 4096, 0)

    def entry(self, path):
        os.lstat(self.real(path))
        node = self.node(path)
        return struct.pack("<5Q", node, 0, 0, 0, 0) + self.attributes(node)

    def opened(self, node, fd):
        handle = max(self.open, default=0) + 1
        self.open[handle] = node, fd
        return struct.pack("<QII", handle, 0, 0)

    def answer(self, what, node, body):
        """The answer to a request, or an OSError."""
        if what == INIT:
            return struct.pack("<IIIIHHII", 7, 31, 0, 0, 16, 12, 1 << 17, 1) + bytes(36)
        if what == LOOKUP:
            return self.entry(self.child(node, body))
        if what == GETATTR:
            return bytes(16) + self.attributes(node)
        if what == SETATTR:
            changed, _, _, size = struct.unpack_from("<IIQQ", body)
            if changed & HAS_MODE:
                raise OSError(errno.EPERM, "")
            if changed & HAS_SIZE:
                os.truncate(self.real(self.paths[node]), size)
            return bytes(16) + self.attributes(node)
        if what == OPEN:
            flags = struct.unpack_from("<I", body)[0] & os.O_ACCMODE
            return self.opened(node, os.open(self.real(self.paths[node]), flags))
        if what == CREATE:
            flags = struct.unpack_from("<I", body)[0] & (os.O_ACCMODE | os.O_EXCL)
            path = self.child(node, body[16:])
            fd = os.open(self.real(path), flags | os.O_CREAT, 0o600)
            return self.entry(path) + self.opened(self.node(path), fd)
        if what == READ:
            handle, at, size = struct.unpack_from("<QQI", body)
            return os.pread(self.open[handle][1], size, at)
        if what == WRITE:
            handle, at, size = struct.unpack_from("<QQI", body)
            return struct.pack("<II", os.pwrite(self.open[handle][1], body[40 : 40 + size], at), 0)
        if what == RELEASE:
            os.close(self.open.pop(struct.unpack_from("<Q", body)[0])[1])
            return b""
        if what == UNLINK:
            path = self.child(node, body)
            os.unlink(self.real(path))
            self.forget(path)
            return b""
        if what == RENAME:
            to_node = struct.unpack_from("<Q", body)[0]
            name, to_name = body[8:].split(b"\0")[:2]
            path, to_path = self.child(node, name), self.child(to_node, to_name)
            os.rename(self.real(path), self.real(to_path))
            self.forget(to_path)
            self.nodes[to_path] = self.nodes.pop(path)
            self.paths[self.nodes[to_path]] = to_path
            return b""
        if what == STATFS:
            room = os.statvfs(self.folder)
            blocks = room.f_blocks, room.f_bfree, room.f_bavail, room.f_files, room.f_ffree
            return struct.pack("<5Q4I", *blocks, room.f_bsize, 255, room.f_frsize, 0) + bytes(24)
        if what == OPENDIR:
            return bytes(16)
        if what in (FSYNC, FLUSH, RELEASEDIR, FSYNCDIR, ACCESS):
            return b""
        # Links and renames with flags, among others.
        raise OSError(errno.ENOSYS, "")


def serve(device, files):
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            continue
        _, what, unique, node = struct.unpack_from("<IIQQ", request)
        if what in (FORGET, BATCH_FORGET):
            continue
        error, reply = 0, b""
        try:
            reply = files.answer(what, node, request[40:])
        except OSError as refused:
            error = refused.errno
        os.write(device, struct.pack("<IiQ", 16 + len(reply), -error, unique) + reply)


def main():
    folder, mount, *command = sys.argv[1:]
    if not os.path.exists("/dev/fuse"):
        sys.exit("/dev/fuse is missing; as root: modprobe fuse")
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"shared", mount.encode(), b"fuse", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    server = os.fork()
    if server == 0:
        serve(device, Files(folder))
        os._exit(0)
    os.close(device)
    ended = subprocess.run(command)
    os.kill(server, signal.SIGKILL)
    sys.exit(ended.returncode)


main()
