// RUN: terrace-opt --load-pass-plugin=%S/Inputs/count_ops.py --pass-pipeline='builtin.module(cse,count-ops{at-most=3})' %s | filecheck %s
// RUN: terrace-opt --cse --count-ops -load-pass-plugin %S/Inputs/count_ops.py %s | filecheck %s
// RUN: not terrace-opt --load-pass-plugin=%S/Inputs/count_ops.py --count-ops='at-most=3' %s 2>&1 | filecheck %s --check-prefix=REFUSED
// RUN: terrace-opt --load-pass-plugin=%S/Inputs/count_ops.py --list-passes | filecheck %s --check-prefix=LIST
// RUN: terrace-opt --load-pass-plugin=%S/Inputs/count_ops.py --help | filecheck %s --check-prefix=HELP
// RUN: not terrace-opt --count-ops %s 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not terrace-opt --load-pass-plugin=%S/absent.py %s 2>&1 | filecheck %s --check-prefix=ABSENT
// RUN: not terrace-opt --load-pass-plugin=%S/../../lit.cfg.py %s 2>&1 | filecheck %s --check-prefix=BROKEN

// A pass of a Python file runs, is listed and refuses like one of Terrace's.
// CHECK: module attributes {test.ops = 3 : index}
// REFUSED: load_pass_plugin.mlir:22:1: error: 'func.func' op is one of 4, more than 3
// REFUSED: note: pass 'count-ops{at-most=3}' failed
// LIST: Passes of other packages:
// LIST-NEXT: count-ops  Write the number of ops on the module, and refuse more than `at-most`.
// HELP: --count-ops
// HELP-NEXT: Write the number of ops
// HELP-NEXT: at-most: an integer (default: 100)
// UNKNOWN: unknown flag or pass '--count-ops'
// ABSENT: there is no file '{{.*}}absent.py'
// BROKEN: NameError: name 'config' is not defined
func.func @f(%x: i32) -> (i32, i32) {
  %0 = arith.addi %x, %x : i32
  %1 = arith.addi %x, %x : i32
  return %0, %1 : i32, i32
}
