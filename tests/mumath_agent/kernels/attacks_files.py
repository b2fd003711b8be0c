"""Attacks on files: reading what is not a program's business, and writing where it has none (rows 14 to 35)."""

from attack import NAMESPACES, SECCOMP, Attack

READS = (
    Attack("read_secret", "read", 14, "verdict('CANARY' in open('@secret@').read())"),
    Attack("read_answers", "read", 15, "verdict('CANARY' in open('@answers@').read())"),
    Attack("read_numpy", "read", 15, "import numpy\nverdict(numpy.fromfile('@answers@', dtype='u1').size)"),
    Attack(
        "read_raw_call",
        "read",
        15,
        "descriptor = sc('openat', -100, b'@answers@', os.O_RDONLY)\nverdict(b'CANARY' in os.read(descriptor, 999))",
    ),
    Attack(
        "read_openat2",
        "read",
        15,
        """
how = struct.pack("=QQQ", os.O_RDONLY, 0, 0)
descriptor = sc("openat2", -100, b"@answers@", how, len(how))
verdict(b"CANARY" in os.read(descriptor, 999))
""",
    ),
    Attack(
        "read_mmap",
        "read",
        15,
        "import mmap\nwith open('@secret@', 'rb') as file:\n"
        "    verdict(b'CANARY' in mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:])",
    ),
    Attack(
        "read_through_symlink",
        "read",
        16,
        "os.symlink('@secret@', 'link-@name@')\nverdict('CANARY' in open('link-@name@').read())",
    ),
    Attack(
        "read_through_hard_link",
        "read",
        16,
        "os.link('@secret@', 'hard-@name@')\nverdict('CANARY' in open('hard-@name@').read())",
    ),
    Attack(
        "glob",
        "read",
        17,
        "import glob\nverdict(glob.glob('@scene@/**/*', recursive=True, include_hidden=True), 'it looks empty')",
    ),
    Attack("list_directory", "read", 17, "verdict('answers.json' in os.listdir('@scene@/project'))"),
    Attack(
        "key_in_environ",
        "read",
        18,
        "import hashlib\nverdict(any(hashlib.sha256(value.encode()).hexdigest() == '@key_sha256@'\n"
        "    for value in os.environ.values()), 'no value is the key')",
    ),
    Attack(
        "key_in_own_proc_environ",
        "read",
        18,
        "verdict(b'CANARY-KEY-' in open('/proc/self/environ', 'rb').read(), 'the key is not in it')",
    ),
    Attack(
        "key_in_parents_environ",
        "read",
        18,
        "verdict(b'CANARY-KEY-' in open(f'/proc/{os.getppid()}/environ', 'rb').read(), 'the key is not in it')",
    ),
    Attack(
        "victims_environ",
        "read",
        19,
        "verdict(b'CANARY-KEY-' in open('/proc/@victim_pid@/environ', 'rb').read(), 'the key is not in it')",
    ),
    Attack(
        "any_process_environ",
        "read",
        19,
        """
from pathlib import Path
found = 0
for path in Path("/proc").glob("[0-9]*/environ"):
    try:
        found += b"CANARY-KEY-" in path.read_bytes()
    except OSError:
        pass
verdict(found, "no process shows the key")
""",
    ),
    Attack(
        "command_lines",
        "read",
        19,
        """
from pathlib import Path
lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
verdict(any(b"canary-victim" in line for line in lines), f"{len(lines)} processes, not @victim_pid@")
""",
    ),
    Attack(
        "first_process_environ", "read", 20, "verdict(open('/proc/1/environ', 'rb').read(), 'it is empty')"
    ),
    Attack("etc_passwd", "read", 20, "verdict('root:' in open('/etc/passwd').read())"),
    Attack("etc_shadow", "read", 20, "verdict('root:' in open('/etc/shadow').read())"),
    Attack(
        "read_through_proc_root", "read", 21, "verdict('CANARY' in open('/proc/self/root/@secret@').read())"
    ),
    Attack(
        "read_through_victims_root",
        "read",
        21,
        "verdict('CANARY' in open('/proc/@victim_pid@/root/@secret@').read())",
    ),
    Attack("read_above_work", "read", 21, "verdict('CANARY' in open('../' * 20 + '@secret@').read())"),
    Attack(
        "other_work_by_path", "read", 22, "verdict('CANARY' in open('@other_work@/neighbour.txt').read())"
    ),
    Attack(
        "other_work_by_process",
        "read",
        22,
        "verdict('CANARY' in open('/proc/@other_pid@/cwd/neighbour.txt').read())",
    ),
    Attack(
        "other_work_beside_mine",
        "read",
        22,
        """
import glob
files = [path for path in glob.glob("../**/neighbour.txt", recursive=True)]
verdict(any("CANARY" in open(path).read() for path in files), f"{len(files)} such files")
""",
    ),
    Attack("stat_secret", "read", 24, "verdict(os.stat('@secret@').st_size)", NAMESPACES),
    Attack("exists_secret", "read", 24, "verdict(os.path.exists('@secret@'), 'not seen')", NAMESPACES),
    Attack(
        "inherited_files",
        "read",
        25,
        """
import stat
kinds = {}
for descriptor in range(3, 400):
    try:
        kinds[descriptor] = stat.S_IFMT(os.fstat(descriptor).st_mode)
    except OSError:
        pass
files = [d for d, kind in kinds.items() if kind in (stat.S_IFREG, stat.S_IFDIR)]
verdict(files, f"none of {len(kinds)} descriptors is a file or directory")
""",
    ),
    Attack(
        "inherited_control_socket",
        "read",
        25,
        """
wrong = []
for descriptor in range(3, 400):
    try:
        with socket.socket(fileno=os.dup(descriptor)) as other:
            wrong += [descriptor] * (other.type != socket.SOCK_STREAM)
    except OSError:
        pass
verdict(wrong, "every socket is a connection to a client")
""",
        needs_control=False,
    ),
    Attack(
        "key_among_objects",
        "read",
        26,
        """
import gc, hashlib
texts = set()
for thing in gc.get_objects():
    for part in gc.get_referents(thing):
        # What holds only plain values is not among the objects itself.
        parts = [part] if gc.is_tracked(part) else [part, *gc.get_referents(part)]
        texts.update(x for x in parts if type(x) in (str, bytes) and len(x) < 99)
texts = {text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts}
verdict(any(hashlib.sha256(text).hexdigest() == "@key_sha256@" for text in texts), f"{len(texts)} texts, no key")
""",
    ),
    Attack(
        "key_in_own_memory",
        "read",
        26,
        """
import hashlib, re
found, spans = False, 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        start, end = (int(n, 16) for n in line.split()[0].split("-"))
        if line.split()[1].startswith("rw") and end - start < 2**28:
            spans += 1
            memory.seek(start)
            keys = re.findall(rb"CANARY-KEY-[0-9a-f]{32}", memory.read(end - start))
            found = found or any(hashlib.sha256(key).hexdigest() == "@key_sha256@" for key in keys)
verdict(found, f"{spans} stretches of memory, no key")
""",
    ),
    Attack(
        "file_handle",
        "read",
        27,
        """
handle, mount = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136), ctypes.c_int()
verdict(sc("name_to_handle_at", -100, b"@secret@", handle, ctypes.byref(mount), 0) == 0)
""",
    ),
    Attack(
        "open_by_handle",
        "read",
        27,
        """
handle, mount = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136), ctypes.c_int()
sc("name_to_handle_at", -100, b"@secret@", handle, ctypes.byref(mount), 0)
root = os.open("@scene@", os.O_RDONLY)
verdict(b"CANARY" in os.read(sc("open_by_handle_at", root, handle, os.O_RDONLY), 999))
""",
    ),
    Attack(
        "raw_disk",
        "read",
        27,
        """
from pathlib import Path
disks = [path for path in Path("/dev").iterdir() if path.is_block_device()]
verdict(any(path.open("rb").read(512) for path in disks[:3]), f"{len(disks)} disks")
""",
    ),
)

WRITES = (
    Attack(
        "new_file_outside",
        "write",
        28,
        "with open('@open@/new', 'w') as file:\n    verdict(file.write('mine'))",
    ),
    Attack(
        "append_to_bashrc",
        "write",
        28,
        "with open('@bashrc@', 'a') as file:\n    verdict(file.write('mine'))",
    ),
    Attack("write_shared_memory", "write", 28, "open('@shm_file@', 'w').write('mine')\nhost_decides()"),
    Attack("write_temporary", "write", 28, "open('@tmp_file@', 'w').write('mine')\nhost_decides()"),
    Attack("make_directory_outside", "write", 28, "os.mkdir('@open@/made')\nverdict(True)"),
    Attack("truncate", "write", 29, "os.truncate('@open@/file', 0)\nverdict(True)"),
    Attack("unlink", "write", 29, "os.unlink('@open@/file')\nverdict(True)"),
    Attack("rename", "write", 29, "os.rename('@open@/file', '@open@/moved')\nverdict(True)"),
    Attack("steal_by_rename", "write", 29, "os.rename('@open@/file', 'stolen-@name@')\nverdict(True)"),
    Attack("rmdir", "write", 29, "os.rmdir('@open@/empty')\nverdict(True)"),
    Attack(
        "chmod",
        "write",
        30,
        "os.chmod('@secret@', 0o777)\nverdict(os.stat('@secret@').st_mode & 0o777 == 0o777)",
    ),
    Attack(
        "fchmodat2",
        "write",
        30,
        "sc('fchmodat2', -100, b'@secret@', 0o777, 0)\nverdict(os.stat('@secret@').st_mode & 0o777 == 0o777)",
    ),
    Attack("utime", "write", 30, "os.utime('@secret@', (1, 1))\nverdict(os.stat('@secret@').st_mtime == 1)"),
    Attack(
        "setxattr",
        "write",
        30,
        "os.setxattr('@secret@', 'user.mine', b'1')\nverdict(os.getxattr('@secret@', 'user.mine') == b'1')",
    ),
    Attack(
        "chown",
        "write",
        30,
        "os.chown('@secret@', 1, 1)\nverdict(os.stat('@secret@').st_uid == 1)",
    ),
    Attack(
        "startup_file_in_site_packages",
        "write",
        31,
        """
import sysconfig
path = os.path.join(sysconfig.get_paths()["purelib"], "zz-canary.pth")
with open(path, "w") as file:
    file.write("# nothing")
os.unlink(path)
verdict(True)
""",
    ),
    Attack(
        "startup_file_in_profile",
        "write",
        32,
        """
path = os.path.join(get_ipython().profile_dir.startup_dir, "zz-@name@.py")
with open(path, "w") as file:
    file.write("# nothing")
os.unlink(path)
verdict(True)
""",
    ),
    Attack(
        "symlink_as_bait",
        "write",
        33,
        "os.symlink('@secret@', 'result-@name@.txt')\nverdict(os.path.islink('result-@name@.txt'))",
    ),
    Attack(
        "fifo_as_bait",
        "write",
        34,
        "os.mkfifo('fifo-@name@.txt')\nverdict(os.path.exists('fifo-@name@.txt'))",
    ),
    Attack(
        "setuid_file",
        "write",
        35,
        "open('sh-@name@', 'w').close()\nos.chmod('sh-@name@', 0o4755)\n"
        "verdict(os.stat('sh-@name@').st_mode & 0o4000, 'no such bit')",
        SECCOMP,
    ),
    Attack(
        "device_file",
        "write",
        35,
        "os.mknod('disk-@name@', 0o60600, os.makedev(8, 0))\nverdict(os.path.exists('disk-@name@'))",
    ),
)
