"""Refuses every network connection that leaves this machine.

Python imports a module of this name at its start when its folder is on PYTHONPATH. The test
command puts it there while notebooks run, so a chapter that quietly needs the network fails.
It covers Python's own sockets; a program that a notebook starts is covered only if it is Python.
"""

import ipaddress
import socket

ACTIVE = True
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_sendto = socket.socket.sendto
_getaddrinfo = socket.getaddrinfo


class NetworkBlocked(OSError):
    """A connection was refused because notebooks must run without a network."""


def _is_local(host):
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(host):
    raise NetworkBlocked(
        f"the network is blocked while notebooks are tested, but something asked for {host!r}; "
        "a chapter must run without it"
    )


def _guard(sock, address):
    if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
        _refuse(address[0])


def connect(self, address):
    _guard(self, address)
    return _connect(self, address)


def connect_ex(self, address):
    _guard(self, address)
    return _connect_ex(self, address)


def sendto(self, data, *rest):
    _guard(self, rest[-1])
    return _sendto(self, data, *rest)


def getaddrinfo(host, *rest, **named):
    if not _is_local(host) and host != socket.gethostname():
        _refuse(host)
    return _getaddrinfo(host, *rest, **named)


socket.socket.connect = connect
socket.socket.connect_ex = connect_ex
socket.socket.sendto = sendto
socket.getaddrinfo = getaddrinfo
