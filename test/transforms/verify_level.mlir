// RUN: terrace-opt --verify-level --split-input-file --verify-diagnostics %s
// RUN: not terrace-opt --verify-level=level=kernel %s --split-input-file 2>&1 | filecheck %s
// RUN: not terrace-opt --pass-pipeline='verify-level{level=loop after=my-pass}' --split-input-file %s 2>&1 | filecheck %s --check-prefix=AFTER
// RUN: not terrace-opt --verify-level=level=upper %s 2>&1 | filecheck %s --check-prefix=LEVEL

// What is legal stays as it is.
// CHECK-LABEL: func.func @legal
// CHECK-NEXT:    "graph.relu"
// AFTER: error: 'graph.relu' op is not legal at the level 'loop'; no pass converted it (found after pass 'my-pass')
// LEVEL: option 'level' of pass 'verify-level' takes 'graph' or 'kernel' or 'loop' or 'iree' or 'hls', but got 'upper'
func.func @legal(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.relu"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// What belongs to a lower level is refused.
func.func @illegal(%x: memref<4xf32>) {
  // expected-error @+1 {{'memref.dealloc' op is not legal at the level 'graph'; no pass converted it}}
  memref.dealloc %x : memref<4xf32>
  return
}
