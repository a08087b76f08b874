// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel{generators=group_norm},schedule-kernels)' %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel{generators=group_norm},schedule-kernels{workers=4})' %s | filecheck %s --check-prefix=FOUR

// Pixels in one dimension, of unknown number a vector at a time. Narrow groups of channels that are last lie side by
// side, wide ones are worked on alone; what has no pixels has one. The bias of each channel stays one in the kernel.
// CHECK-LABEL: func.func private @group_norm_5x1x12
// CHECK:         names = ["n", "g", "s", "c"], sizes = array<i64: 5, 3, 1, 4>
// CHECK-SAME:    {memory = "register", order = ["g"], sizes = array<i64: 3>}
// CHECK-LABEL: func.func private @group_norm_4x4096x128
// CHECK:         {memory = "local", order = ["s"], sizes = array<i64: 16>}, {memory = "register", order = ["c"], sizes = array<i64: 64>}
// CHECK-LABEL: func.func private @group_norm_silu_4x4096x64
// CHECK:         {memory = "local", order = ["s"], sizes = array<i64: 16>}, {memory = "register", order = ["g"], sizes = array<i64: 8>}
// FOUR-LABEL:  func.func private @group_norm_4x4096x128
// FOUR:          order = ["n", "g", "s"], parallel = ["n", "g"], sizes = array<i64: 1, 1, 16>}
// FOUR-LABEL:  func.func private @group_norm_silu_4x4096x64
// FOUR:          {memory = "local", order = ["n", "s"], parallel = ["n"], sizes = array<i64: 1, 16>}, {memory = "register", order = ["g"], sizes = array<i64: 8>}
// FOUR-LABEL:  func.func private @group_norm_dx8xd
// FOUR:          {memory = "local", order = ["n", "s"], parallel = ["n"], sizes = array<i64: 1, 256>}
// CHECK-LABEL: func.func private @group_norm_dx8xd
// CHECK:         {memory = "local", order = ["s"], sizes = array<i64: 256>}, {memory = "register", order = ["s"], sizes = array<i64: 16>}
// CHECK:         "graph.group_norm"(%arg0, %arg1, %arg2) {axis = 1 : i64
func.func @norms(%x: tensor<?x8x?x?xf32>, %a: tensor<8xf32>, %y: tensor<4x64x64x64xf32>, %b: tensor<64xf32>,
                 %z: tensor<4x64x64x128xf32>, %c: tensor<128xf32>, %v: tensor<5x12xf32>, %d: tensor<12xf32>) {
  %0 = "graph.group_norm"(%x, %a, %a) {axis = 1 : i64, epsilon = 1.0e-5 : f64, groups = 4 : i64}
    : (tensor<?x8x?x?xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x8x?x?xf32>
  %1 = "graph.fusion"() ({
    %10 = "graph.group_norm"(%y, %b, %b) {axis = 3 : i64, epsilon = 1.0e-5 : f64, groups = 8 : i64}
      : (tensor<4x64x64x64xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<4x64x64x64xf32>
    %11 = "graph.silu"(%10) : (tensor<4x64x64x64xf32>) -> tensor<4x64x64x64xf32>
    "graph.yield"(%11) : (tensor<4x64x64x64xf32>) -> ()
  }) : () -> tensor<4x64x64x64xf32>
  %2 = "graph.group_norm"(%z, %c, %c) {axis = 3 : i64, epsilon = 1.0e-5 : f64, groups = 2 : i64}
    : (tensor<4x64x64x128xf32>, tensor<128xf32>, tensor<128xf32>) -> tensor<4x64x64x128xf32>
  %3 = "graph.group_norm"(%v, %d, %d) {axis = 1 : i64, epsilon = 1.0e-5 : f64, groups = 3 : i64}
    : (tensor<5x12xf32>, tensor<12xf32>, tensor<12xf32>) -> tensor<5x12xf32>
  return
}
