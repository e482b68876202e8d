"""Networks of hosts inside this machine, with troubles of one's choice.

Each host is a network namespace with one TUN interface. A thread of the test
carries the packets from one to the other and does to them what the kernel's
netem would: it loses, delays, repeats, reorders, damages and throttles them. So
it is the kernel's real TCP that has to cope. (netem itself is missing from many
a kernel, and wants a root of one's own all the same.)

Only where namespaces and TUN interfaces are allowed; elsewhere tests that ask
for a network are skipped, and say why."""

import ctypes
import errno
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import threading
import time
import unittest

SKIPPED = 77  # the exit status that ctest takes for "skipped"
TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
MTU = 1400
# What waits in a throttled link, in seconds; more is dropped.
QUEUE = 3.0
# Addresses that look public: private ones are given less time by diallers.
PREFIX = "11.0.0."
MARK = "KADMIUM_TEST_NETWORK"

libc = ctypes.CDLL(None, use_errno=True)


# ---- leave to do so ----------------------------------------------------------

def works(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def why_not():
    """Why there can be no network; None when there can."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            return "there is no " + tool
    if not os.access(TUN, os.R_OK | os.W_OK):
        return TUN + " is not to be had"
    if not works("unshare", "--net", "ip", "tuntap", "add", "dev", "t0",
                 "mode", "tun"):
        return "no network namespaces with TUN interfaces are allowed here"
    return None


def main():
    """unittest.main, as root of a user namespace if need be; the exit status
    says when everything was skipped."""
    if os.geteuid() != 0 and MARK not in os.environ:
        enter = ["unshare", "--user", "--map-root-user", "--net"]
        if shutil.which("unshare") and works(*enter, "true"):
            os.environ[MARK] = "1"
            os.execvp(enter[0], [*enter, sys.executable, "-B", *sys.argv])
    result = unittest.main(exit=False).result
    if not result.wasSuccessful():
        sys.exit(1)
    for _, reason in result.skipped:
        print("skipped: " + reason)
    sys.exit(SKIPPED if result.skipped and
             len(result.skipped) >= result.testsRun else 0)


# ---- troubles ----------------------------------------------------------------

class Trouble:
    """What happens to the packets that one host sends. Shares of them are
    between 0 and 1, times are in seconds, the rate in bytes a second."""

    def __init__(self, loss=0, delay=0, jitter=0, duplicate=0, reorder=0,
                 corrupt=0, rate=0):
        self.loss = loss
        self.delay = delay
        self.jitter = jitter  # that much more or less delay
        self.duplicate = duplicate
        self.reorder = reorder  # not delayed, so ahead of the others
        self.corrupt = corrupt  # one bit is another
        self.rate = rate


def damaged(packet, dice):
    bit = dice.randrange(8 * len(packet))
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Host:
    """One namespace. `enter` goes before the command of a program that is to
    run there."""

    def __init__(self, network, number):
        self.network = network
        self.address = PREFIX + str(number)
        self.trouble = Trouble()
        self.free_at = 0  # when a throttled link has sent what waits
        self.sent = self.lost = 0
        self.holder = subprocess.Popen(
            ["unshare", "--net", "cat"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.holder.stdin.write(b"\n")
        self.holder.stdin.flush()
        if self.holder.stdout.read(1) != b"\n":  # it answers: it is in there
            raise unittest.SkipTest("no network namespaces are allowed here")
        self.enter = ["nsenter", "--target", str(self.holder.pid), "--net"]
        self.tun = self.open_tun()
        for command in (["link", "set", "lo", "up"],
                        ["link", "set", "net0", "mtu", str(MTU)],
                        ["address", "add", self.address + "/24", "dev",
                         "net0"],
                        ["link", "set", "net0", "up"]):
            subprocess.run([*self.enter, "ip", *command], check=True)

    def open_tun(self):
        with open("/proc/self/ns/net") as ours, \
                open("/proc/%d/ns/net" % self.holder.pid) as theirs:
            self.move(theirs)
            try:
                tun = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                fcntl.ioctl(tun, TUNSETIFF, struct.pack(
                    "16sH", b"net0", IFF_TUN | IFF_NO_PI))
            finally:
                self.move(ours)
        return tun

    @staticmethod
    def move(namespace):
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def listen(self):
        return "/ip4/%s/tcp/0" % self.address

    def send(self, packet, now, dice):
        """Yields when to deliver which packet."""
        t = self.trouble
        self.sent += 1
        if dice.random() < t.loss:
            self.lost += 1
            return
        for _ in range(2 if dice.random() < t.duplicate else 1):
            at = now
            if t.rate:
                at = max(now, self.free_at)
                if at - now > QUEUE:
                    self.lost += 1
                    continue
                at += len(packet) / t.rate
                self.free_at = at
            if dice.random() >= t.reorder:
                at += max(0, t.delay + dice.uniform(-t.jitter, t.jitter))
            if dice.random() < t.corrupt:
                packet = damaged(packet, dice)
            yield at, packet

    def close(self):
        self.holder.stdin.close()
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        os.close(self.tun)


class Network:
    """Hosts that reach each other, until it is closed."""

    def __init__(self, count, trouble=None, seed=None):
        reason = why_not()
        if reason:
            raise unittest.SkipTest(reason)
        self.seed = seed if seed is not None else random.randrange(1 << 32)
        self.dice = random.Random(self.seed)
        self.hosts = []
        self.due = []  # heap of (time, number, host, packet)
        self.number = 0
        self.failed = None
        self.ends = os.pipe()
        try:
            for i in range(count):
                self.hosts.append(Host(self, i + 1))
        except BaseException:
            self.release()
            raise
        self.set(trouble or Trouble())
        self.carrier = threading.Thread(target=self.run, daemon=True)
        self.carrier.start()

    def set(self, trouble):
        """All hosts have the same troubles from now on; what is under way keeps
        its own."""
        for host in self.hosts:
            host.trouble = trouble

    def take(self, host, by_address):
        """All that the host wants to send."""
        while True:
            try:
                packet = os.read(host.tun, 65536)
            except BlockingIOError:
                return
            to = by_address.get(packet[16:20])
            if packet[0] >> 4 != 4 or to is None:
                continue
            for at, copy in host.send(packet, time.monotonic(), self.dice):
                self.number += 1
                heapq.heappush(self.due, (at, self.number, to, copy))

    def deliver(self):
        while self.due and self.due[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(self.due)
            try:
                os.write(to.tun, packet)
            except OSError as error:  # a damaged header is refused at once
                if error.errno not in (errno.EINVAL, errno.EAGAIN):
                    raise

    def run(self):
        try:
            by_address = {bytes(int(n) for n in host.address.split(".")): host
                          for host in self.hosts}
            by_tun = {host.tun: host for host in self.hosts}
            poll = select.poll()
            for fd in (*by_tun, self.ends[0]):
                poll.register(fd, select.POLLIN)
            while True:
                wait = None
                if self.due:
                    left = self.due[0][0] - time.monotonic()
                    wait = max(0, left * 1000)
                for fd, _ in poll.poll(wait):
                    if fd == self.ends[0]:
                        return
                    self.take(by_tun[fd], by_address)
                self.deliver()
        except Exception as error:  # told by close()
            self.failed = error

    def release(self):
        for host in self.hosts:
            host.close()
        for fd in self.ends:
            os.close(fd)

    def close(self):
        os.write(self.ends[1], b"x")
        self.carrier.join(10)
        self.release()
        if self.failed:
            raise self.failed
