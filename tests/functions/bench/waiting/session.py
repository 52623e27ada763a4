"""A session of MySQL or MariaDB by the least code: the handshake, and a login with the server's older plugin.

It is for counting sessions. What a client library takes of memory is the function's own, and is counted apart; so is
what the standard library's socket brings with it, selectors and enumerations.
"""

import struct
from _sha1 import sha1
from _socket import AF_INET, SOCK_STREAM, socket

_CAPABILITIES = 0x00000200 | 0x00008000 | 0x00080000 | 0x00000008  # protocol 4.1, its login, plugins, a database
_UTF8MB4 = 45
_PLUGIN = b"mysql_native_password"


def connect(host, port, user, password, database):
    """A socket whose session is logged in."""
    made = socket(AF_INET, SOCK_STREAM)
    made.settimeout(60)
    made.connect((host, port))
    greeting = _packet(made)
    rest = greeting[greeting.index(b"\0", 1) + 1 + 4 :]  # behind the version and the thread's number
    salt = rest[:8] + rest[8 + 1 + 2 + 1 + 2 + 2 + 1 + 10 :][:12]
    names = user.encode() + b"\0", database.encode() + b"\0"
    head = struct.pack("<IIB23x", _CAPABILITIES, 1 << 24, _UTF8MB4)
    proof = _proof(password.encode(), salt)
    _send(made, 1, head + names[0] + bytes([len(proof)]) + proof + names[1] + _PLUGIN + b"\0")
    answer = _packet(made)
    if answer[:1] == b"\xfe" and answer[1:].startswith(_PLUGIN):  # asked again, with another salt
        _send(made, 3, _proof(password.encode(), answer[1 + len(_PLUGIN) + 1 :][:20]))
        answer = _packet(made)
    if answer[:1] != b"\0":
        raise ConnectionError(f"the server refused the login: {answer!r}")
    made.settimeout(None)
    return made


def _proof(password, salt):
    once = sha1(password).digest()
    both = sha1(salt + sha1(once).digest()).digest()
    return bytes(left ^ right for left, right in zip(once, both, strict=True))


def _send(made, number, content):
    made.sendall(struct.pack("<I", len(content))[:3] + bytes([number]) + content)


def _packet(made):
    length = int.from_bytes(_exactly(made, 4)[:3], "little")
    return _exactly(made, length)


def _exactly(made, length):
    found = b""
    while len(found) < length:
        piece = made.recv(length - len(found))
        if not piece:
            raise ConnectionError("the server hung up")
        found += piece
    return found
