"""A rig with a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kernel.base.chandat import MAFTER, ORDWR, Abind
from kernel.base.error import Error
from kernel.devices.devcs import Csdev
from kernel.devices.devip import Ipdev
from kernel.devices.ip.wire import Faults
from kernel.files.chan import namec
from kernel.sched.clock import runtimers
from kernel.sched.sched import yield_
from tests.kernel.fakes import Rig

LOCAL = (
    b"sys=here ip=127.0.0.1\nip=127.0.0.1 sys=localhost dom=localhost\n"
    b"sys=far dom=far.net\n\tip=10.1.2.3\n\tip=fe80::1\n"
)
COMMON = b"# services\ntcp=http port=80\ntcp=login port=513 restricted\nudp=time port=37\nprotocol=tcp ipv4proto=6\n"


class Netrig(Rig):
    """A rig whose name space has /net and the database."""

    def __init__(self, faults: Faults | None = None) -> None:
        super().__init__()
        self.ip = Ipdev(self.k, faults)
        self.k.devtab += [self.ip, Csdev(self.k)]
        self.root.addfile("/lib/ndb/local", LOCAL)
        self.root.addfile("/lib/ndb/common", COMMON)

    def net(self) -> None:
        """Bind it, in a process."""
        for dev in ("#I", "#ñ"):
            self.mount(namec(self.k, dev, Abind), "/net", MAFTER)

    def clone(self, proto: str, *messages: str) -> tuple[int, str]:
        """A conversation's ctl, after these messages, and its directory."""
        fd = self.open(f"/net/{proto}/clone", ORDWR)
        at = f"/net/{proto}/{self.pread(fd, 20, 0).decode()}"
        for m in messages:
            self.pwrite(fd, m.encode())
        return fd, at

    def listen(self, at: str) -> tuple[int, int, str]:
        """Take a call: ctl, data, directory."""
        ctl = self.open(f"{at}/listen", ORDWR)
        at = f"{at.rpartition('/')[0]}/{self.pread(ctl, 20, 0).decode()}"
        return ctl, self.open(f"{at}/data", ORDWR), at

    def data(self, at: str) -> int:
        """Its data file."""
        return self.open(f"{at}/data", ORDWR)

    def state(self, at: str) -> str:
        """The first word of its status."""
        return self.slurp(f"{at}/status").decode().split()[0]

    def pair(self, address: str = "127.0.0.1!80") -> tuple[tuple[int, int, str], tuple[int, int, str]]:
        """A caller and who has taken the call: ctl, data and directory of each."""
        announced, lat = self.clone("tcp", f"announce {address}")
        c, cat = self.clone("tcp", f"connect {address}")
        taken = self.listen(lat)
        self.close(announced)
        return (c, self.data(cat), cat), taken

    def later(self, fn: Callable[[], object]) -> list[object]:
        """Let another process do that; its result or its error comes into the list."""
        out: list[object] = []

        def body() -> None:
            try:
                out.append(fn())
            except Error as e:
                out.append(str(e))

        self.spawn(body, self.up)
        return out


def wait(rig: Netrig, ms: int) -> None:
    """Let time pass, and the others run."""
    rig.k.m.cpu.spend(ms * 1_000_000)
    runtimers(rig.k, rig.k.m.cpu.now())
    for _ in range(20):
        yield_(rig.k)


def newnet() -> Iterator[Netrig]:
    """Body of a fixture."""
    r = Netrig()
    yield r
    r.shutdown()
