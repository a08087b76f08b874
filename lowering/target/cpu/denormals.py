"""Denormal numbers are kept in every dispatch of a CPU program, as PyTorch keeps them.

IREE's runtime sets flush-to-zero and denormals-are-zero around each dispatch (`local-sync`) or on each worker
(`local-task`), and has no switch for it. So every dispatch function clears both at its start, its own code and IREE's
alike, and gives the thread back as it was: flushing is a matter of the thread's owner (`torch.set_flush_denormal`).

iree-compile hands each executable, as text, to a command of our choice before it compiles it. `sed` adds two lines of
inline assembly, in AT&T syntax. They use the stack below the red zone, and clobber memory: no load, and so no
arithmetic on what is loaded, moves across them.
"""

from __future__ import annotations

_FLUSHING = 0x8040
"""The bits of MXCSR: flush results to zero, take operands for zero."""

_CLOBBERS = "~{memory},~{dirflag},~{fpsr},~{flags}"
_KEEP = f"""\
%terrace_mxcsr = llvm.inline_asm has_side_effects "leaq -136(%rsp), %rsp; stmxcsr (%rsp); movl (%rsp), $0; \
andl $${0xFFFFFFFF - _FLUSHING:#x}, (%rsp); ldmxcsr (%rsp); leaq 136(%rsp), %rsp", "=r,{_CLOBBERS}" : () -> i32"""
_RESTORE = f"""\
llvm.inline_asm has_side_effects "leaq -136(%rsp), %rsp; movl $0, (%rsp); ldmxcsr (%rsp); leaq 136(%rsp), %rsp", \
"r,{_CLOBBERS}" %terrace_mxcsr : (i32) -> ()"""


def keep_denormals() -> str:
    """The flag of iree-compile. No line holds a quote like those around it, or a backslash: two programs read them."""
    header, end = "/^ *func[.]func @.*{$/", "/^ *return/"
    script = [f"{header},{end}{{", f"{header}a {_KEEP}", f"{end}i {_RESTORE}", "}"]
    return " ".join(["--iree-hal-preprocess-executables-with=sed", *(f"-e '{line}'" for line in script)])
