"""libunicorn, called through ctypes: its Python classes cost too much on the path of a trap.

Handles are passed as ``c_void_p`` objects made once; a plain call costs some 0.2 us that way.
"""

import ctypes
import functools
import os
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, PYFUNCTYPE, c_bool, c_int, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

VERSION: Final = 1  # of what is passed to the extensions: as VERSION in _module.h

ARCH_X86: Final = 4
MODE_32: Final = 1 << 2
PROT_ALL: Final = 7
CPU_QEMU64: Final = 0  # the model with SVM and without RDRAND

HOOK_INTR: Final = 1 << 0
HOOK_INSN: Final = 1 << 1
HOOK_BLOCK: Final = 1 << 3
HOOK_MEM_READ: Final = 1 << 10
HOOK_MEM_WRITE: Final = 1 << 11
HOOK_INSN_INVALID: Final = 1 << 14
HOOK_EDGE_GENERATED: Final = 1 << 15

INS_CPUID: Final = 113
INS_IN: Final = 218
INS_OUT: Final = 500
INS_SYSCALL: Final = 699
INS_SYSENTER: Final = 700

# Kind of control, number of arguments, and 1 for "write" (unicorn.h: UC_CTL)
CTL_USE_EXITS: Final = 4 | 1 << 26 | 1 << 30
CTL_EXITS: Final = 6 | 2 << 26 | 1 << 30
CTL_CPU_MODEL: Final = 7 | 1 << 26 | 1 << 30
CTL_TB_REMOVE: Final = 9 | 2 << 26 | 1 << 30
CTL_TB_FLUSH: Final = 10 | 1 << 30
CTL_TLB_FLUSH: Final = 11 | 1 << 30
CTL_CODE_BUFFER: Final = 13 | 1 << 26 | 1 << 30
CTL_CONTEXT_MODE: Final = 14 | 1 << 26 | 1 << 30

# Registers (unicorn/x86.h): importing the binding for these would take longer than starting a machine
REG_CS: Final = 11
REG_DS: Final = 17
REG_EAX: Final = 19
REG_EBP: Final = 20
REG_EBX: Final = 21
REG_ECX: Final = 22
REG_EDI: Final = 23
REG_EDX: Final = 24
REG_EFLAGS: Final = 25
REG_EIP: Final = 26
REG_ES: Final = 28
REG_ESI: Final = 29
REG_ESP: Final = 30
REG_FPSW: Final = 31
REG_SS: Final = 49
REG_CR0: Final = 50
REG_CR3: Final = 53
REG_CR4: Final = 54
REG_ST0: Final = 114
REG_XMM0: Final = 122
REG_IDTR: Final = 242
REG_GDTR: Final = 243
REG_FPCW: Final = 246
REG_FPTAG: Final = 247
REG_MSR: Final = 248
REG_MXCSR: Final = 249
REG_FIP: Final = 254
REG_FDP: Final = 256
REG_FOP: Final = 258

# Callbacks take as few arguments as their use needs: the C ABIs let a callee ignore the rest,
# and each argument costs a Python object.
INTRHOOK: Final = CFUNCTYPE(None, c_void_p, c_uint32)
INVALIDHOOK: Final = CFUNCTYPE(c_bool, c_void_p)
BLOCKHOOK: Final = CFUNCTYPE(None, c_void_p)
OUTHOOK: Final = CFUNCTYPE(None, c_void_p)
INHOOK: Final = CFUNCTYPE(c_uint32, c_void_p)


class Block(ctypes.Structure):
    """uc_tb: a translated block."""

    _fields_ = [("pc", c_uint64), ("instructions", c_uint16), ("size", c_uint16)]


EDGEHOOK: Final = CFUNCTYPE(None, c_void_p, POINTER(Block))


# Of the translator, in the order that _blockcount.c asks for
EMITTERS: Final = (
    "tcg_const_i64",
    "tcg_gen_callN",
    "tcg_func_start",
    "tcg_gen_exit_tb",
    "tcg_gen_lookup_and_goto_ptr",
    "tcg_temp_new_internal",
    "gen_new_label",
    "tcg_gen_op1",
    "tcg_gen_op3",
    "tcg_gen_addi_i64",
    "tcg_gen_brcondi_i64",
)

# What makes Unicorn forget which block is at which address
FLUSHES: Final = (
    "tlb_flush_by_mmuidx",
    "tlb_flush_by_mmuidx_all_cpus",
    "tlb_flush_by_mmuidx_all_cpus_synced",
    "tb_flush_jmp_cache",
    "tb_flush",
)


class UnicornError(Exception):
    """A call of libunicorn failed, or this release of it cannot be used."""


class UnusableError(UnicornError):
    """This release of libunicorn does not do what p9emu needs."""


class MSR(ctypes.Structure):
    """Argument of a register access to REG_MSR."""

    _fields_ = [("rid", c_uint32), ("value", c_uint64)]


def _path() -> str:
    """The library that the package unicorn brings along; the binding, whose import takes a while, is not needed."""
    spec = find_spec("unicorn")
    for directory in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = os.path.join(directory, "lib", "libunicorn.so.2")
        if os.path.exists(path):
            return path
    from unicorn.unicorn_py3.unicorn import uclib  # it also looks in other places

    return str(uclib._name)


@functools.cache
def blockcount() -> Any:
    """The extension emu.machine._blockcount, which replaces a function of libunicorn's; None if it was not built."""
    return _ahead("emu.machine._blockcount")


def _ahead(name: str) -> Any:
    """An extension, loaded so that its symbols come before libunicorn's; None if it was not built."""
    try:
        extension: Any = import_module(name)
    except ImportError:
        return None
    if getattr(extension, "VERSION", 0) != VERSION:
        raise UnusableError(f"the extension {name} was built from another version of p9emu: install p9emu again")
    ctypes.PyDLL(extension.__file__, ctypes.RTLD_GLOBAL)
    return extension


class Lib:
    """The functions used. Those of ``fast`` keep the GIL: they return at once."""

    def __init__(self) -> None:
        path = _path()
        # before libunicorn: they replace functions of that
        native, cmpxchg8b, lock = blockcount(), _ahead("emu.machine._cmpxchg8b"), _ahead("emu.machine._lock")
        faultflags, lookup = _ahead("emu.machine._faultflags"), _ahead("emu.machine._lookup")
        fast: Any = ctypes.PyDLL(path)
        slow: Any = ctypes.CDLL(path)
        self._library = fast
        self.open: Callable[..., int] = fast.uc_open
        self.close: Callable[..., int] = fast.uc_close
        self.ctl: Callable[..., int] = fast.uc_ctl
        self.map: Callable[..., int] = fast.uc_mem_map_ptr
        self.hook: Callable[..., int] = fast.uc_hook_add
        self.unhook: Callable[..., int] = fast.uc_hook_del
        self.regread: Callable[..., int] = fast.uc_reg_read
        self.regwrite: Callable[..., int] = fast.uc_reg_write
        self.start: Callable[..., int] = slow.uc_emu_start
        self.stop: Callable[..., int] = fast.uc_emu_stop
        self.save: Callable[..., int] = fast.uc_context_save
        self.restore: Callable[..., int] = fast.uc_context_restore
        self.contextalloc: Callable[..., int] = fast.uc_context_alloc
        self.contextfree: Callable[..., int] = fast.uc_context_free
        self.contextsize: Callable[..., int] = fast.uc_context_size
        self.contextread: Callable[..., int] = fast.uc_context_reg_read
        self.contextwrite: Callable[..., int] = fast.uc_context_reg_write
        fast.uc_context_size.restype = c_size_t
        fast.uc_mem_map_ptr.argtypes = [c_void_p, c_uint64, c_uint64, c_uint32, c_void_p]
        # The variadic two: only the fixed arguments are declared, as ctypes asks for.
        fast.uc_hook_add.argtypes = [c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_uint64, c_uint64]
        fast.uc_ctl.argtypes = [c_void_p, c_int]
        slow.uc_emu_start.argtypes = [c_void_p, c_uint64, c_uint64, c_uint64, c_size_t]
        self._strerror: Any = fast.uc_strerror
        self._strerror.restype = ctypes.c_char_p
        version = int(fast.uc_version(None, None))  # major, minor, patch, extra: a byte each
        self.release: str = ".".join(str(version >> shift & 0xFF) for shift in (24, 16, 8))
        called = fast.uc_emu_stop, fast.uc_context_save, fast.uc_context_restore
        self.stopaddress, self.saveaddress, self.restoreaddress = (ctypes.cast(f, c_void_p).value or 0 for f in called)
        if native is not None:
            check = self._symbol("helper_check_exit_request_x86_64")
            translator = (c_void_p * len(EMITTERS))(*(self._symbol(f"{name}_x86_64") for name in EMITTERS))
            bind = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)(native.bind)
            bind(ctypes.cast(slow.uc_emu_start, c_void_p), check, ctypes.byref(translator))
        if cmpxchg8b is not None:
            names: tuple[str, ...] = "cpu_exec_x86_64", "cpu_restore_state_x86_64", "helper_cmpxchg8b_unlocked_x86_64"
            CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)(cmpxchg8b.bind)(*map(self._symbol, names))
        noting = [e for e in (native, cmpxchg8b) if e is not None]
        self._notes = [(PYFUNCTYPE(c_void_p)(e.get), PYFUNCTYPE(None, c_void_p)(e.set)) for e in noting]
        if lock is not None:
            names = "cpu_ldub_code_x86_64", "tcg_gen_op2_x86_64"
            CFUNCTYPE(None, c_void_p, c_void_p)(lock.bind)(*map(self._symbol, names))
        self.counts: Any = None
        """What _lookup.c has counted, of all engines: see emu.machine.lookup; None where it was not built."""
        if lookup is not None:
            names = "tb_htable_lookup", "helper_lookup_tb_ptr", "x86_cpu_tlb_fill", *FLUSHES
            originals = [self._symbol(f"{name}_x86_64") for name in names]
            CFUNCTYPE(None, c_void_p)(lookup.bind)(ctypes.byref((c_void_p * len(originals))(*originals)))
            self.counts = (c_uint64 * 4).from_address(lookup.counts)
        self.faulted: Callable[[], int] = int
        """What _faultflags.c has noted at the last fault, once; 0 for nothing."""
        if faultflags is not None:
            names = "cpu_cc_compute_all_x86_64", "restore_state_to_opc_x86_64"
            rotations = [self._symbol(f"helper_rc{way}{size}_x86_64") for way in "lr" for size in "bwl"]
            bind = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)(faultflags.bind)
            bind(*map(self._symbol, names), ctypes.byref((c_void_p * len(rotations))(*rotations)))
            self.faulted = PYFUNCTYPE(c_uint64)(faultflags.get)

    def _symbol(self, name: str) -> c_void_p | None:
        """The address of a function of the library that is not part of its interface, if there is one."""
        symbol = getattr(self._library, name, None)
        return ctypes.cast(symbol, c_void_p) if symbol else None

    def noted(self) -> tuple[int | None, ...]:
        """What the extensions have noted of the emulation on this stack, which may be left in the middle of it."""
        return tuple(get() for get, _ in self._notes)

    def renote(self, noted: tuple[int | None, ...]) -> None:
        """Back on the stack on which that was noted."""
        for (_, set), note in zip(self._notes, noted, strict=True):
            set(note)

    def check(self, err: int, what: str) -> None:
        """Raise UnicornError if err, which a function returned, says so."""
        if err:
            raise UnicornError(f"{what}: {self._strerror(err).decode()}")

    def unusable(self, why: str) -> UnusableError:
        """The error to raise when this release does not behave as it must."""
        return UnusableError(f"this release of Unicorn ({self.release}) is not usable: {why}")


@functools.cache
def lib() -> Lib:
    """The library, loaded once in a process."""
    return Lib()
