// RUN: terrace-opt --pass-pipeline='builtin.module(func.func(canonicalize{top-down=false},cse),symbol-dce)' %s | FileCheck %s
// RUN: terrace-opt -pass-pipeline 'any(func.func(canonicalize,cse),symbol-dce)' %s | FileCheck %s
// RUN: terrace-opt --canonicalize="top-down=false" --cse -symbol-dce %s | FileCheck %s
// RUN: terrace-opt --canonicalize --dump-pass-pipeline %s 2>&1 >/dev/null | FileCheck %s --check-prefix=DUMP

// Options, nested anchors and bare flags run the same passes.
// CHECK-LABEL: func.func @twice
// CHECK:         arith.addi
// CHECK-NOT:     arith.addi
// CHECK-NOT:     @unused

// DUMP: builtin.module(canonicalize)
func.func @twice(%x: i32) -> (i32, i32) {
  %0 = arith.addi %x, %x : i32
  %1 = arith.addi %x, %x : i32
  return %0, %1 : i32, i32
}

func.func private @unused()
