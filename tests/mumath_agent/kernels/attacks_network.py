"""Attacks that try to talk to something outside, or to be talked to (rows 1 to 13, 54 and 55)."""

from attack import SECCOMP, Attack

NETWORK = (
    Attack(
        "tcp_connect",
        "net",
        1,
        """
with socket.create_connection(("127.0.0.1", @tcp_port@), timeout=3) as link:
    link.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    verdict(b"CANARY" in link.recv(1000))
""",
    ),
    Attack(
        "tcp_urllib",
        "net",
        1,
        """
import urllib.request
verdict(b"CANARY" in urllib.request.urlopen("http://127.0.0.1:@tcp_port@/", timeout=3).read())
""",
    ),
    Attack(
        "tcp_asyncio",
        "net",
        1,
        """
import asyncio
reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", @tcp_port@), 3)
writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
verdict(b"CANARY" in await reader.read(1000))
writer.close()
""",
    ),
    Attack(
        "ipv6_connect",
        "net",
        2,
        """
with socket.create_connection(("::1", @tcp6_port@), timeout=3) as link:
    link.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    verdict(b"CANARY" in link.recv(1000))
""",
    ),
    Attack(
        "ipv6_closed_port",
        "net",
        2,
        """
code = socket.socket(socket.AF_INET6).connect_ex(("::1", 9))
verdict(code in (0, errno.ECONNREFUSED), errno.errorcode.get(code))
""",
    ),
    Attack(
        "udp_sendto",
        "net",
        3,
        """
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
verdict(link.sendto(b"exfiltrated", ("127.0.0.1", @udp_port@)) == 11)
""",
    ),
    Attack(
        "dns_packet",
        "net",
        3,
        """
query = struct.pack(">6H", 7, 256, 1, 0, 0, 0) + b"\\x0bexfiltrated\\x04test\\0" + struct.pack(">2H", 1, 1)
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.connect(("127.0.0.1", @udp_port@))
verdict(link.send(query) == len(query))
""",
    ),
    Attack(
        "dns_resolver",
        "net",
        3,
        """
# The C library's own resolver, told to ask the canary: retry times, then the one server's address.
_libc.__res_state.restype = ctypes.c_void_p
_libc.__res_init()
state = _libc.__res_state()
server = struct.pack("=H", socket.AF_INET) + struct.pack(">H", @udp_port@) + bytes([127, 0, 0, 1]) + bytes(8)
ctypes.memmove(state, struct.pack("=ii", 1, 1), 8)
ctypes.memmove(state + 16, struct.pack("=i", 1) + server, 20)
ctypes.CDLL("libresolv.so.2").res_query(b"exfiltrated.test", 1, 1, ctypes.create_string_buffer(512), 512)
host_decides()
""",
        fresh=True,
    ),
    Attack(
        "metadata_address",
        "net",
        4,
        """
link = socket.socket()
link.setblocking(False)
code = link.connect_ex(("192.0.2.1", 80))
verdict(code in (0, errno.EINPROGRESS), errno.errorcode.get(code))
""",
    ),
    Attack(
        "tcp_back_door",
        "net",
        5,
        """
door = socket.socket()
door.bind(("127.0.0.1", 0))
door.listen()
verdict(door.getsockname()[1])
""",
    ),
    Attack(
        "unix_back_door",
        "net",
        5,
        """
door = socket.socket(socket.AF_UNIX)
door.bind("door-@name@")
door.listen()
verdict(os.path.exists("door-@name@"))
""",
    ),
    Attack(
        "mptcp_connect",
        "net",
        6,
        """
link = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
link.settimeout(3)
link.connect(("127.0.0.1", @tcp_port@))
link.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
verdict(b"CANARY" in link.recv(1000))
""",
    ),
    Attack(
        "tcp_fast_open",
        "net",
        7,
        """
link = socket.socket()
link.settimeout(3)
link.sendto(b"GET / HTTP/1.0\\r\\n\\r\\n", socket.MSG_FASTOPEN, ("127.0.0.1", @tcp_port@))
verdict(b"CANARY" in link.recv(1000))
""",
    ),
    Attack(
        "unix_path_connect",
        "net",
        8,
        """
link = socket.socket(socket.AF_UNIX)
link.settimeout(3)
link.connect("@unix_path@")
link.sendall(b"exfiltrated")
verdict(b"CANARY" in link.recv(1000))
""",
    ),
    Attack(
        "abstract_connect",
        "net",
        9,
        """
link = socket.socket(socket.AF_UNIX)
link.settimeout(3)
link.connect("\\0@abstract@")
link.sendall(b"exfiltrated")
verdict(b"CANARY" in link.recv(1000))
""",
    ),
    Attack("vsock", "net", 10, "verdict(socket.socket(40, socket.SOCK_STREAM).fileno() >= 0)", SECCOMP),
    Attack(
        "netlink",
        "net",
        11,
        "link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)\nlink.bind((0, 0))\nverdict(True)",
        SECCOMP,
    ),
    Attack("alg", "net", 11, "verdict(socket.socket(38, socket.SOCK_SEQPACKET).fileno() >= 0)", SECCOMP),
    Attack(
        "raw_socket", "net", 11, "verdict(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno() >= 0)"
    ),
    Attack("packet_socket", "net", 11, "verdict(socket.socket(17, socket.SOCK_RAW, 0x300).fileno() >= 0)"),
    Attack(
        "io_uring",
        "net",
        12,
        "verdict(sc('io_uring_setup', 4, ctypes.create_string_buffer(120)) >= 0)",
        SECCOMP,
    ),
    Attack(
        "zmq_connect",
        "net",
        13,
        """
import zmq
link = zmq.Context().socket(zmq.REQ)
link.setsockopt(zmq.LINGER, 0)
link.connect("tcp://127.0.0.1:@tcp_port@")
time.sleep(0.3)
link.close()
host_decides()
""",
        fresh=True,
    ),
    Attack(
        "other_kernels_socket",
        "proto",
        54,
        """
link = socket.socket(socket.AF_UNIX)
link.settimeout(3)
link.connect("@other_socket@")
verdict(True)
""",
    ),
    Attack(
        "zmq_other_kernels_socket",
        "proto",
        54,
        """
import zmq
from zmq.utils.monitor import recv_monitor_message
link = zmq.Context().socket(zmq.DEALER)
link.setsockopt(zmq.LINGER, 0)
watch = link.get_monitor_socket(zmq.EVENT_CONNECTED)
link.connect("ipc://@other_socket@")
verdict(watch.poll(1500))
""",
        fresh=True,
    ),
    Attack(
        "any_socket_in_the_runtime_directory",
        "proto",
        54,
        """
import stat
paths = [os.path.join(where, name) for where, _, names in os.walk("@runtime@") for name in names]
connected = []
for path in paths:
    if stat.S_ISSOCK(os.lstat(path).st_mode):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(1)
        try:
            link.connect(path)
            connected.append(path)
        finally:
            link.close()
verdict(connected, f"none of {len(paths)} files is a socket that answers")
""",
    ),
    Attack(
        "runtime_directory_listing",
        "read",
        23,
        "verdict(os.listdir('@runtime@'), 'it looks empty')",
    ),
    Attack(
        "other_kernels_connection_file",
        "proto",
        55,
        """
import json, stat
found = []
for where, _, names in os.walk("@runtime@"):
    for path in (os.path.join(where, name) for name in names):
        if stat.S_ISREG(os.lstat(path).st_mode) and b'"key"' in open(path, "rb").read():
            found.append(path)
verdict(found, "no file holds a key")
""",
    ),
)
