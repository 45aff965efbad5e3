"""What the first process sees: devices, programs in /bin, directories of the host, and the variables in /env.

Source: pc/main.c:init0, lib/namespace, and what termrc(8) and init(8) leave.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Final

from emu.machine.config import LoadError, Root
from kernel.base.chandat import MAFTER, MBEFORE, MCREATE, MREPL, ORDWR, Aaccess, Abind, Amount, Aopen, Atodir, Chan
from kernel.base.error import Error
from kernel.devices.devenv import ksetenv
from kernel.devices.devhost import hostdev, opentree
from kernel.devices.devroot import rootdev
from kernel.devices.hostfile import hosterror
from kernel.files.chan import namec
from kernel.files.channel import cclose, cmount
from kernel.memory.swap import setswapchan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from emu.machine.config import Bind, Config
    from emu.machine.journal import Journal
    from kernel.base.kernel import Kernel
    from kernel.devices.hostfile import Tree
    from kernel.devices.upper import Changes

DEVICES: Final = (
    ("#c", "/dev", MREPL),
    ("#d", "/fd", MREPL),
    ("#e", "/env", MREPL | MCREATE),
    ("#p", "/proc", MREPL),
    ("#s", "/srv", MREPL | MCREATE),
)

# What termrc(8) and the installation leave: the system's name, and the network database, which knows no other system.
SYSNAME: Final = "p9emu"
SERVICES: Final = (
    ("tcp", "echo:7 discard:9 systat:11 daytime:13 ftp-data:20 ftp:21 ssh:22 telnet:23 smtp:25 time:37 whois:43 "
    "domain:53 gopher:70 finger:79 http:80 pop3:110 ident:113 nntp:119 imap4:143 ldap:389 https:443 submission:587 "
    "9fs:564 ldaps:636 rsync:873 imaps:993 pop3s:995 9pc:5640 exportfs:17007 rexexec:17009 cpu:17010 venti:17034"),
    ("udp", "echo:7 discard:9 daytime:13 time:37 domain:53 bootp:67 bootpc:68 tftp:69 ntp:123 snmp:161 syslog:514 "
    "dns:53"),
)  # fmt: skip
PROTOCOLS: Final = "icmp:1 igmp:2 tcp:6 udp:17 gre:47 esp:50 icmpv6:58 ipv6-icmp:58"
NDB: Final = (
    (
        "/lib/ndb/common",
        "".join(
            [f"{net}={s.replace(':', ' port=')}\n" for net, all in SERVICES for s in all.split()]
            + [f"protocol={p.replace(':', ' ipv4proto=')}\n" for p in PROTOCOLS.split()]
        ).encode(),
    ),
    ("/lib/ndb/local", f"sys={SYSNAME} ip=127.0.0.1\n\nip=127.0.0.1 sys=localhost dom=localhost\n".encode()),
)


def variables(user: str, home: str) -> tuple[tuple[str, str], ...]:
    """What the kernel, init(8) and rc(1) leave in /env before anything else runs. A list's elements end in NUL.

    Source: pc/main.c:init0, cmd/init.c, rc/lib/rcmain.
    """
    return (
        ("terminal", "generic p9emu"),
        ("cputype", "386"),
        ("objtype", "386"),
        ("service", "terminal"),
        ("sysname", SYSNAME),
        ("user", user),
        ("home", home),
        ("path", ".\0/bin\0"),
    )


def bindname(k: Kernel, new: str, old: str, flag: int) -> None:
    """As bind(1). Raises Error."""
    bind(k, namec(k, new, Abind, 0), old, flag)


def bind(k: Kernel, new: Chan, old: str, flag: int) -> None:
    """Bind a channel. Raises Error."""
    cmount(k, new, namec(k, old, Amount, 0), flag, None)


def isdir(k: Kernel, path: str) -> bool:
    """Whether that is a directory of the guest's."""
    return _there(k, path, Atodir)


def isfile(k: Kernel, path: str) -> bool:
    """Whether that is a file of the guest's, and no directory."""
    return _there(k, path, Aaccess) and not isdir(k, path)


def _there(k: Kernel, path: str, amode: int) -> bool:
    try:
        cclose(k, namec(k, path, amode))
    except Error:
        return False
    return True


def start(k: Kernel) -> None:
    """The system's name, and what is known of others."""
    k.files.sysname = SYSNAME
    for at, text in NDB:
        rootdev(k).addfile(at, text)


def _show(
    k: Kernel,
    journal: Journal | None,
    host: str,
    rw: bool,
    changes: Callable[[], Changes] | None = None,
    through: Sequence[str] = (),
) -> Chan:
    """A channel to the root of a directory of the host. Raises Error, and what changes() does."""

    def make() -> Tree:
        return opentree(host, changes() if changes is not None else None, through)

    if journal is None:
        tree = make()
    else:
        from emu.machine.hostjournal import JournalTree

        tree = JournalTree(journal, make, host)
    return hostdev(k).mount(tree, rw or changes is not None)


def addhost(k: Kernel, at: str, path: str, journal: Journal | None) -> None:
    """Show one file of the host. Raises Error."""
    if journal is None:
        rootdev(k).addhost(at, path)
        return
    from emu.machine.hostjournal import JournalHostfile

    rootdev(k).addhost(at, JournalHostfile(journal, path))


def hostroot(k: Kernel, dir: Root, journal: Journal | None = None) -> Chan:
    """Make a directory of the host, which is returned, the root, before ``#/`` with the mount points it may miss.

    Raises Error, and LoadError about --changes.
    """
    changes: Callable[[], Changes] | None = _forgotten if dir.cow else None
    if dir.changes is not None:
        from emu.machine.changes import kept

        changes = functools.partial(kept, dir.changes, dir.host)
    c = _show(k, journal, dir.host, dir.writable, changes)
    bind(k, c, "/", MBEFORE | (MCREATE if _writable(dir) else 0))
    return c


def _writable(shown: Root | Bind) -> bool:
    return shown.writable or shown.cow or (isinstance(shown, Root) and shown.changes is not None)


def _forgotten() -> Changes:
    from emu.machine.changes import forgotten

    try:
        return forgotten()
    except OSError as e:
        raise hosterror(e) from None


def devices(k: Kernel, root: str | None) -> None:
    """Bind the devices. Where the root, told of in these words, has files in their places: LoadError."""
    for dev, at, flag in DEVICES:
        try:
            bindname(k, dev, at, flag)
        except Error as e:
            if root is None:
                raise
            raise LoadError(f"{root}: {at}: {e}", 2) from None


def net(k: Kernel, config: Config) -> None:
    """Bind the network and its name servers, if there are any."""
    if config.net == "off":
        return
    mountpoint(k, "/net")
    for dev in ("#I", "#ñ"):
        bindname(k, dev, "/net", MAFTER)


def binds(k: Kernel, all: Iterable[Bind], journal: Journal | None = None) -> None:
    """Show directories of the host. Raises LoadError."""
    for b in all:
        try:
            mountpoint(k, b.guest)
            new = _show(k, journal, b.host, b.writable, _forgotten if b.cow else None, b.through)
            bind(k, new, b.guest, MREPL | (MCREATE if _writable(b) else 0))
        except Error as e:
            raise LoadError(f"--bind {b.host}:{b.guest}: {e}", 2) from None


def mountpoint(k: Kernel, path: str, perm: int = 0o555) -> None:
    """See to it that there is a directory to bind upon: in ``#/``, and where the root is the host's, below that."""
    rootdev(k).mkdir(path, perm)
    names = [n for n in path.split("/") if n not in ("", ".")]
    for i in range(1, len(names) + 1):
        if not isdir(k, "/" + "/".join(names[:i])):
            above = "/" + "/".join(names[: i - 1])
            bindname(k, "#/" + above, above, MAFTER)


def finish(k: Kernel, dir: Chan | None, swap: bool) -> None:
    """List each name of the root ``dir`` once; take the swap device into use."""
    if dir is not None:
        rootdev(k).hide(lambda name: _has(k, dir, name))
    if swap:
        setswapchan(k, namec(k, "#S/swap", Aopen, ORDWR))


def _has(k: Kernel, c: Chan, name: str) -> bool:
    """Whether the host's directory c has a file of that name."""
    try:
        return hostdev(k).walk(c, None, [name]).clone is not None
    except Error:
        return False


def setenv(k: Kernel, all: Iterable[tuple[str, str]]) -> None:
    """Fill /env."""
    for var, value in all:
        ksetenv(k, var, value)


def bundled(path: str) -> bool:
    """Whether a host file is one of the programs that come with p9emu."""
    import guest

    return os.path.dirname(os.path.abspath(path)) == guest.directory()


def namespace(k: Kernel, config: Config, path: str, name: str, bundled: bool, journal: Journal | None = None) -> None:
    """What run gives to a program, a file of the host: itself and the bundled guests in /bin, and a root if any.

    /bin begins with the program; of a root it has what lib/namespace binds there. /tmp is writable in any case.
    Raises Error, and LoadError if an option is wrong.
    """
    import guest

    start(k)
    dir = None
    if config.root is not None:
        try:
            dir = hostroot(k, config.root, journal)
            bindname(k, "#//bin", "/bin", MBEFORE)
            for d in ("/386/bin", "/rc/bin"):
                if isdir(k, d):
                    bindname(k, d, "/bin", MAFTER)
            if not _writable(config.root):
                bindname(k, "#//tmp", "/tmp", MREPL | MCREATE)
        except Error as e:
            raise LoadError(f"--root {config.root.host}: {e}", 2) from None
    devices(k, f"--root {config.root.host}" if config.root is not None else None)
    if config.root is not None or not bundled:
        addhost(k, f"/bin/{name}", path, journal)
    bind(k, _show(k, journal, guest.directory(), False), "/bin", MAFTER)
    net(k, config)
    binds(k, config.binds, journal)
    finish(k, dir, bool(config.swap))
    setenv(k, (*variables(k.eve, f"/usr/{k.eve}"), *config.env))
