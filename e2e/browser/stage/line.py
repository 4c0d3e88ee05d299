"""A slow and lossy line, made of packets: a network namespace of its own, whose one device leads back to itself.

What is accepted at the entry (outside the namespace) goes into the namespace by TCP to 10.9.0.2, through a device that this
program reads: each packet is kept for half of the round trip, or lost, and comes back with its two addresses exchanged (which
leaves every checksum right), so that 10.9.0.1 hears it. From there it goes on, outside again. The delays, the losses and what
becomes of them are the kernel's own TCP. Sockets belong to where they were made, so those of outside are made first.

Linux alone; without the rights for a namespace it ends with 77. Prints the port of its entry, and at its end what it lost.
"""
import argparse
import asyncio
import ctypes
import fcntl
import os
import random
import signal
import socket
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
TUNSETIFF, IFF_TUN_NO_PI = 0x4004_54CA, 0x1001
SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, IFF_UP = 0x8916, 0x891C, 0x8914, 1
HERE, BEYOND, PORT = "10.9.0.1", "10.9.0.2", 7000
WAYS = 600
NO_NAMESPACE = 77


def outside(address):
    """A socket of the machine's own network, for later"""
    one = socket.socket()
    one.setblocking(False)
    one.bind((address, 0))
    return one


def enter():
    """From here on, sockets are of a namespace in which we may do everything."""
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(NO_NAMESPACE)


def device():
    try:
        line = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    except OSError as fault:
        print(fault, file=sys.stderr)
        sys.exit(NO_NAMESPACE)
    fcntl.ioctl(line, TUNSETIFF, struct.pack("16sH22x", b"line", IFF_TUN_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knob:
        for what, value in ((SIOCSIFADDR, HERE), (SIOCSIFNETMASK, "255.255.255.0")):
            fcntl.ioctl(knob, what, struct.pack("16sHH4s8x", b"line", socket.AF_INET, 0, socket.inet_aton(value)))
        for name in (b"line", b"lo"):
            fcntl.ioctl(knob, SIOCSIFFLAGS, struct.pack("16sH14x", name, IFF_UP))
    return line


class Line:
    """Keeps each packet for `delay_s` and loses one of `1 / loss`."""

    def __init__(self, fd, delay_s, loss, seed):
        self.fd, self.delay_s, self.loss, self.chance = fd, delay_s, loss, random.Random(seed)
        self.carried = self.lost = 0
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(fd, self.came)

    def came(self):
        packet = os.read(self.fd, 65_535)
        if packet[0] >> 4 != 4:
            return
        if self.chance.random() < self.loss:
            self.lost += 1
            return
        self.carried += 1
        turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
        self.loop.call_later(self.delay_s, os.write, self.fd, turned)


async def pipe(reader, writer):
    try:
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def both(one, other):
    try:
        await asyncio.gather(pipe(one[0], other[1]), pipe(other[0], one[1]))
    finally:
        for _, writer in (one, other):
            writer.close()


async def main():
    words = argparse.ArgumentParser()
    words.add_argument("to", type=int, help="the port that is reached over the line, here")
    words.add_argument("--from", dest="address", default="127.0.0.1", help="the address that it is reached from")
    words.add_argument("--round-trip-ms", type=int, default=2_000)
    words.add_argument("--loss", type=float, default=0.05)
    words.add_argument("--seed", type=int, default=1)
    said = words.parse_args()

    entry = socket.socket()
    entry.bind(("127.0.0.1", 0))
    ways = [outside(said.address) for _ in range(WAYS)]
    enter()
    line = Line(device(), said.round_trip_ms / 2_000, said.loss, said.seed)
    loop = asyncio.get_running_loop()

    async def into(reader, writer):
        await both((reader, writer), await asyncio.open_connection(BEYOND, PORT))

    async def out(reader, writer):
        way = ways.pop()
        await loop.sock_connect(way, ("127.0.0.1", said.to))
        await both((reader, writer), await asyncio.open_connection(sock=way))

    await asyncio.start_server(out, HERE, PORT)
    await asyncio.start_server(into, sock=entry)
    print(entry.getsockname()[1], flush=True)
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    # Conversations that are under way end here, without a word.
    print(f"{line.carried} {line.lost}", flush=True)
    os._exit(0)


asyncio.run(main())
