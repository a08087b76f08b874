"""Denormal numbers are kept in every dispatch of a CPU program, as PyTorch keeps them.

IREE's runtime sets flush-to-zero and denormals-are-zero around each dispatch (`local-sync`) or on each worker
(`local-task`), and has no switch for it. So every dispatch function clears both at its start and gives the thread back
as it was: flushing is a matter of the thread's owner (`torch.set_flush_denormal`). Inline assembly does it, in
AT&T syntax. It uses the stack below the red zone, and clobbers memory: no load, and so no arithmetic on what
is loaded, moves across them.

`keep-denormals` puts them into our kernels. Where IREE computes as well, iree-compile hands each executable, as text,
to a command of our choice before it compiles it: `sed` adds them to all. That takes some 8 ms a dispatch.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import to_attribute
from terrace.lowering.analysis.loop_kernels import LOOP_KERNEL, loop_kernels
from terrace.mlir import func, ir, walk
from terrace.passes import Pass

_FLUSHING = 0x8040
"""The bits of MXCSR: flush results to zero, take operands for zero."""

_CLOBBERS = "~{memory},~{dirflag},~{fpsr},~{flags}"
_CLEAR = (
    "leaq -136(%rsp), %rsp; stmxcsr (%rsp); movl (%rsp), $0;"
    f" andl $${0xFFFFFFFF - _FLUSHING:#x}, (%rsp); ldmxcsr (%rsp); leaq 136(%rsp), %rsp"
)
_RESTORE = "leaq -136(%rsp), %rsp; movl $0, (%rsp); ldmxcsr (%rsp); leaq 136(%rsp), %rsp"


@dataclasses.dataclass(frozen=True)
class KeepDenormals(Pass):
    """Let the kernels of a program that IREE has no other computation in keep denormal numbers."""

    name = "keep-denormals"

    def run(self, module: ir.Operation) -> None:
        if computes_beside_kernels(module):
            return
        for function in loop_kernels(module):
            entry = function.entry_block
            with function.location, ir.InsertionPoint.at_block_begin(entry):
                before = _assembly(_CLEAR, f"=r,{_CLOBBERS}", [], [ir.IntegerType.get_signless(32)])
            # The results' buffers are made tensors after the loops, which is no work.
            with function.location, ir.InsertionPoint.at_block_terminator(entry):
                _assembly(_RESTORE, f"r,{_CLOBBERS}", list(before.results), [])


def _assembly(text: str, constraints: str, operands: list[ir.Value], results: list[ir.Type]) -> ir.Operation:
    attributes = {
        "asm_string": to_attribute(text),
        "constraints": to_attribute(constraints),
        "has_side_effects": ir.UnitAttr.get(),
    }
    return ir.Operation.create("llvm.inline_asm", results, operands, attributes)


def computes_beside_kernels(module: ir.Operation) -> bool:
    """Whether IREE's code generation has more to do than moves in a program at the loop level or below."""
    functions = [view for view in module.regions[0].blocks[0].operations if isinstance(view, func.FuncOp)]
    return any(
        operation.name.startswith(("arith.", "math.", "tm_tensor."))
        for function in functions
        if LOOP_KERNEL not in function.attributes
        for operation in walk(function.operation)
        if operation.name != "arith.constant"
    )


def keep_denormals() -> str:
    """The flag of iree-compile. No line holds a quote like those around it, or a backslash: two programs read them."""
    header, end = "/^ *func[.]func @.*{$/", "/^ *return/"
    clear = f'%terrace_mxcsr = llvm.inline_asm has_side_effects "{_CLEAR}", "=r,{_CLOBBERS}" : () -> i32'
    restore = f'llvm.inline_asm has_side_effects "{_RESTORE}", "r,{_CLOBBERS}" %terrace_mxcsr : (i32) -> ()'
    script = [f"{header},{end}{{", f"{header}a {clear}", f"{end}i {restore}", "}"]
    return " ".join(["--iree-hal-preprocess-executables-with=sed", *(f"-e '{line}'" for line in script)])
