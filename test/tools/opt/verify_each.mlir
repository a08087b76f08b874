// RUN: not terrace-opt --load-pass-plugin=%S/Inputs/break_types.py --break-types --cse %s 2>&1 | filecheck %s --check-prefix=EACH
// RUN: not terrace-opt --load-pass-plugin=%S/Inputs/break_types.py --break-types --mlir-print-ir-after=break-types %s 2>&1 | filecheck %s --check-prefix=PRINT
// RUN: terrace-opt --load-pass-plugin=%S/Inputs/break_types.py --break-types -verify-each=0 %s | filecheck %s --check-prefix=OFF
// RUN: not terrace-opt --load-pass-plugin=%S/Inputs/break_types.py --slip %s 2>&1 | filecheck %s --check-prefix=SLIP

// Invalid IR is found after the pass that made it, unless told otherwise; the invalid IR can be printed.
// EACH: verify_each.mlir:18:53: error: type of return operand 0 ('i32') doesn't match function result type ('i64')
// EACH: note: pass 'break-types' failed
// PRINT: IR Dump After break-types Failed
// PRINT: function_type = () -> i64
// OFF: func.func

// An exception in a pass shows the pass, the line and the way to it.
// SLIP: error: pass 'slip' raised KeyError at {{.*}}break_types.py:25: 'lost'
// SLIP: Traceback (most recent call last):
// SLIP: {}["lost"]
// SLIP: note: pass 'slip' failed
func.func @f() -> i32 { %0 = arith.constant 1 : i32 return %0 : i32 }
