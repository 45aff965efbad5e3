"""Numbers of the processor: traps, page-fault error codes, control bits, the VMCB.

Intel SDM is the *Software Developer's Manual*; APM is AMD's *Architecture Programmer's Manual*.
"""

from typing import Final

# Exceptions (Intel SDM vol. 3, 6.15)
DIVIDE: Final = 0
DEBUG: Final = 1
BREAKPOINT: Final = 3
OVERFLOW: Final = 4
BOUND: Final = 5
UNDEFINED: Final = 6
TASK: Final = 10  # invalid TSS
PROTECTION: Final = 13
PAGEFAULT: Final = 14
FPUERROR: Final = 16
SIMDERROR: Final = 19
SYSCALL: Final = 64  # INT $64, the one gate besides INT 3 and INTO that ring 3 may call

# Error code of a page fault (Intel SDM vol. 3, 4.7), as a processor without NX sets it
#
#  31        3 2 1 0
#  |    0     |U|W|P|     U user mode, W write, P the page was present
PF_PRESENT: Final = 1 << 0
PF_WRITE: Final = 1 << 1
PF_USER: Final = 1 << 2

# Error code of INT n through a gate that is not ring 3's (Intel SDM vol. 3, 6.13)
#
#  31      16 15          3   2   1   0
#  |    0    | vector      | TI |IDT|EXT|
EC_IDT: Final = 1 << 1
EC_VECTOR: Final = 3

# EFLAGS (Intel SDM vol. 1, 3.4.3)
#
#  21 20  19  18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
#  |ID|VIP|VIF|AC|VM|RF|0 |NT|IOPL|O |D |I|T|S|Z|0|A|0|P|1|C|
FL_ALWAYS: Final = 1 << 1
FL_ARITHMETIC: Final = 0x8D5  # O S Z A P C
FL_INTERRUPT: Final = 1 << 9
FL_DIRECTION: Final = 1 << 10
FL_USER: Final = 0x244DD5  # what POPF changes in ring 3: ID AC NT O D T S Z A P C

# CR0 (Intel SDM vol. 3, 2.5): |PG 31| ... |WP 16| ... |NE 5|ET 4|TS 3|EM 2|MP 1|PE 0|
CR0_PE: Final = 1 << 0
CR0_TS: Final = 1 << 3
CR0_ET: Final = 1 << 4
CR0_NE: Final = 1 << 5
CR0_WP: Final = 1 << 16
CR0_PG: Final = 1 << 31

# CR4: |OSXMMEXCPT 10|OSFXSR 9| ... |PAE 5|PSE 4| |TSD 2|
CR4_TSD: Final = 1 << 2
CR4_PSE: Final = 1 << 4
CR4_PAE: Final = 1 << 5
CR4_OSFXSR: Final = 1 << 9
CR4_OSXMMEXCPT: Final = 1 << 10

# FPU control word (Intel SDM vol. 1, 8.1.5), as pc/l.s:fpinit sets it: round to nearest, double precision;
# invalid operation, division by zero and overflow are not masked
#
#  11 10  9  8  7 6 5 4 3 2 1 0
#  | RC  | PC | 0 |P|U|O|Z|D|I|
FPINIT: Final = 0x232
FPMASKS: Final = 0x3F
FPSUMMARY: Final = 1 << 7 | 1 << 15  # of the status word: an unmasked exception is pending

# Model-specific registers (APM vol. 2, appendix A)
MSR_EFER: Final = 0xC0000080
EFER_NXE: Final = 1 << 11
EFER_SVME: Final = 1 << 12
MSR_VM_HSAVE_PA: Final = 0xC0010117

# 32-bit page-directory entry that maps 4 MB (Intel SDM vol. 3, 4.3)
#
#  31          22 21     13 12 11 9 8 7 6 5 4 3 2 1 0
#  | address     | 0       |PAT|avl|G|1|D|A|C|T|U|W|P|
PDE_VALID: Final = 1 << 0
PDE_WRITE: Final = 1 << 1
PDE_USER: Final = 1 << 2
PDE_SIZE: Final = 1 << 7

# PAE table entry, of the nested tables (APM vol. 2, 5.2 and 15.25)
#
#  63 62      52 51                12 11 9 8 7 6 5 4 3 2 1 0
#  |NX| 0       | frame address      | avl|G|S|D|A|C|T|U|W|P|
NPT_PRESENT: Final = 1 << 0
NPT_WRITE: Final = 1 << 1
NPT_USER: Final = 1 << 2
NPT_LARGE: Final = 1 << 7
NPT_NX: Final = 1 << 63

# EXITINFO1 of a nested page fault (APM vol. 2, 15.25.6)
#
#  33 32         4 3 2 1 0
#  |T|F|   ...  |I|R|U|W|P|    I fetch, R reserved bit, U user, W write, P present; T table walk, F final
NPF_PRESENT: Final = 1 << 0
NPF_WRITE: Final = 1 << 1
NPF_RESERVED: Final = 1 << 3
NPF_FETCH: Final = 1 << 4

# Virtual machine control block (APM vol. 2, appendix B)
#
#  000  intercept CR, DR   008  exceptions   00c  instructions 1   010  instructions 2
#  058  ASID  05c  TLB control   070  exit code   078  EXITINFO1   080  EXITINFO2
#  090  nested paging on   0b0  nested CR3
#  400  state: es cs ss ds fs gs gdtr ldtr idtr tr, 16 bytes each:
#         | selector 2 | attributes 2 | limit 4 | base 8 |
VMCB_INTERCEPT: Final = 0x0C  # a qword: bits 0..31 for exit codes 0x60.., 32.. for 0x80..
VMCB_ASID: Final = 0x58
VMCB_TLB: Final = 0x5C
VMCB_EXITINFO2: Final = 0x80  # of a nested page fault: the guest-physical address
VMCB_NESTED: Final = 0x90
VMCB_NCR3: Final = 0xB0
VMCB_ES: Final = 0x400
VMCB_CS: Final = 0x410
VMCB_SS: Final = 0x420
VMCB_DS: Final = 0x430
VMCB_GDTR: Final = 0x460
VMCB_IDTR: Final = 0x480
VMCB_CPL: Final = 0x4CB
VMCB_EFER: Final = 0x4D0
VMCB_CR4: Final = 0x548
VMCB_CR3: Final = 0x550
VMCB_CR0: Final = 0x558
VMCB_RFLAGS: Final = 0x570
VMCB_RIP: Final = 0x578
VMCB_RSP: Final = 0x5D8
VMCB_RAX: Final = 0x5F8

# Segment attributes: descriptor bits 40..47 and 52..55 (APM vol. 2, 4.7)
#
#  11 10 9  8   7 6  5 4 3    0
#  |G|D |L|AVL|P|DPL|S|type  |
ATTR_UDATA: Final = 0xCF3  # 4 GB, 32 bits, present, ring 3, data read/write accessed
ATTR_UCODE: Final = 0xCFB  # the same, code execute/read accessed

# #VMEXIT codes, as Unicorn's interrupt hook reports them: 0x100 + code (APM vol. 2, appendix C)
EXIT: Final = 0x100
EXIT_RDTSC: Final = 0x6E
EXIT_CPUID: Final = 0x72
EXIT_NPF: Final = 0x400
INTERCEPT_BASE: Final = 0x60  # the exit code of VMCB_INTERCEPT's bit 0
