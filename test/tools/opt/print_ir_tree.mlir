// RUN: rm -rf %t
// RUN: terrace-opt --canonicalize --symbol-dce --mlir-print-ir-before=symbol-dce --mlir-print-ir-after-all --mlir-print-ir-tree-dir=%t/tree %s 2>&1 >/dev/null | filecheck %s --check-prefix=QUIET --allow-empty
// RUN: ls %t/tree/builtin_module_outer | filecheck %s --check-prefix=FILES
// RUN: filecheck %s --check-prefix=BEFORE <%t/tree/builtin_module_outer/1_symbol-dce.before.mlir
// RUN: filecheck %s --check-prefix=AFTER <%t/tree/builtin_module_outer/1_symbol-dce.mlir
// RUN: terrace-opt %t/tree/builtin_module_outer/0_canonicalize.mlir | filecheck %s --check-prefix=BEFORE
// RUN: not terrace-opt --cse --mlir-print-ir-after-all --mlir-print-ir-tree-dir=%s/x %s 2>&1 | filecheck %s --check-prefix=NODIR
// RUN: not terrace-opt --cse --mlir-pass-pipeline-crash-reproducer=%t/no/x.mlir %s 2>&1 | filecheck %s --check-prefix=NODIR

// NODIR: terrace-opt: error: cannot open '{{.*}}x{{.*}}':
// A file for each pass, in the order of the passes, that terrace-opt reads again; nothing goes to stderr.
// QUIET-NOT: IR Dump
// FILES: 0_canonicalize.mlir
// FILES-NEXT: 1_symbol-dce.before.mlir
// FILES-NEXT: 1_symbol-dce.mlir
// BEFORE: @unused
// AFTER: module @outer
// AFTER-NOT: @unused
module @outer {
  func.func @f() { return }
  func.func private @unused()
}
