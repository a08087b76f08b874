// RUN: terrace-opt --canonicalize --cse --symbol-dce --mlir-print-ir-after=cse %s 2>&1 >/dev/null | filecheck %s --check-prefix=AFTER
// RUN: terrace-opt --canonicalize --cse --symbol-dce --mlir-print-ir-before=symbol-dce,canonicalize %s 2>&1 >/dev/null | filecheck %s --check-prefix=BEFORE
// RUN: terrace-opt --canonicalize --cse -mlir-print-ir-before-all %s 2>&1 >/dev/null | filecheck %s --check-prefix=ALL
// RUN: terrace-opt --symbol-dce --cse --mlir-print-ir-after-all --mlir-print-ir-after-change %s 2>&1 >/dev/null | filecheck %s --check-prefix=CHANGE
// RUN: not terrace-opt --cse --verify-level=level=hls --mlir-print-ir-after-failure %s 2>&1 >/dev/null | filecheck %s --check-prefix=FAIL
// RUN: terrace-opt --pass-pipeline='builtin.module(func.func(canonicalize,cse),simplify-graph)' --mlir-print-ir-after=cse,simplify-graph %s 2>&1 >/dev/null | filecheck %s --check-prefix=NESTED
// RUN: not terrace-opt --mlir-print-ir-after=csee %s 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not terrace-opt --mlir-print-ir-tree-dir=%t %s 2>&1 | filecheck %s --check-prefix=WHEN

// Only the passes that are named, and only where they stand.
// AFTER-NOT: IR Dump {{.*}}canonicalize
// AFTER: // -----// IR Dump After cse //----- //
// AFTER-NOT: IR Dump
// BEFORE: // -----// IR Dump Before canonicalize //----- //
// BEFORE: @unused
// BEFORE-NOT: cse
// BEFORE: // -----// IR Dump Before symbol-dce //----- //
// BEFORE-NOT: IR Dump
// ALL: Before canonicalize
// ALL: Before cse

// A pass that changes nothing is left out on request; one that fails shows what it left.
// CHANGE: IR Dump After symbol-dce
// CHANGE-NOT: IR Dump
// FAIL-NOT: IR Dump After cse
// FAIL: error: 'tensor.empty' op is not legal at the level 'hls'
// FAIL-NOT: IR Dump After cse
// FAIL: note: pass 'verify-level{level=hls}' failed

// A nested list is printed pass by pass.
// NESTED-NOT: IR Dump After func.func(canonicalize)
// NESTED: IR Dump After func.func(cse)
// NESTED: IR Dump After simplify-graph

// UNKNOWN: cannot print around the unknown pass 'csee'; did you mean 'cse'
// WHEN: flag '--mlir-print-ir-tree-dir' needs one that says when to print
func.func @f() -> tensor<3xi32> {
  %0 = tensor.empty() : tensor<3xi32>
  return %0 : tensor<3xi32>
}

func.func private @unused()
