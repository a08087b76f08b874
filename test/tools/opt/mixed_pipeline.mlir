// RUN: terrace-opt --pass-pipeline='builtin.module(fold-batch-norm,func.func(canonicalize,cse))' %s | FileCheck %s
// RUN: terrace-opt --fold-batch-norm --canonicalize %s | FileCheck %s
// RUN: not terrace-opt --pass-pipeline='func.func(fold-batch-norm)' %s 2>&1 | FileCheck %s --check-prefix=NESTED
// RUN: not terrace-opt --pass-pipeline='fold-batch-norm{nonsense=1}' %s 2>&1 | FileCheck %s --check-prefix=OPTION

// Passes written in Python and passes of MLIR stand in one pipeline.
// CHECK-LABEL: func.func @id
// CHECK-NOT:     arith.addi

// NESTED: pass 'fold-batch-norm' runs on the module: move it out of 'func.func(...)'
// NESTED-NEXT: func.func(fold-batch-norm)
// NESTED-NEXT: {{^}}          ^
// OPTION: pass 'fold-batch-norm' has no option 'nonsense'
func.func @id(%x: i32) -> i32 {
  %0 = arith.addi %x, %x : i32
  return %x : i32
}
