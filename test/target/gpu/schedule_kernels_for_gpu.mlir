// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels-for-gpu)' %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels-for-gpu{subgroup-size=8 local-bytes=1024})' %s | filecheck %s --check-prefix=SMALL
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels-for-gpu,schedule-kernels-for-gpu{subgroup-size=8})' %s | filecheck %s
// RUN: not terrace-opt --pass-pipeline='builtin.module(schedule-kernels-for-gpu{subgroup-size=12})' %s 2>&1 | filecheck %s --check-prefix=REFUSED

// REFUSED: subgroup_size must be a power of two, got 12

// 256 invocations. A workgroup has a row, of an unknown number of them several. Scheduling again changes nothing.
// CHECK-LABEL: func.func private @softmax_dxd
// CHECK:         memory = "local", order = ["m", "n"], parallel = ["m"], sizes = array<i64: 16, 4096>{{.*}} order = ["n"], sizes = array<i64: 256>
// CHECK-LABEL: func.func private @softmax_128x3072
// CHECK:         memory = "local", order = ["m"], parallel = ["m"], sizes = array<i64: 1>{{.*}} order = ["n"], sizes = array<i64: 1024>
// CHECK-LABEL: func.func private @relu_393216
// CHECK:         order = ["d0"], parallel = ["d0"], sizes = array<i64: 1024>{{.*}} order = ["d0"], sizes = array<i64: 1024>
// More batches than there may be workgroups: two for each. Both operands go through local memory.
// CHECK-LABEL: func.func private @batch_matmul_70000x8x8
// CHECK:         {enters = {lhs = {copy = {}}, rhs = {copy = {}}}, memory = "local", order = ["b", "m", "n", "k"],
// CHECK-SAME:    parallel = ["b", "m", "n"], sizes = array<i64: 2, 8, 8, 16>{{.*}} order = ["n", "m", "k"], sizes = array<i64: 8, 8, 1>
// CHECK-LABEL: func.func private @matmul_128x10
// CHECK:         order = ["m", "n", "k"], parallel = ["m", "n"], sizes = array<i64: 64, 16, 16>{{.*}} order = ["n", "m", "k"], sizes = array<i64: 16, 64, 1>
// CHECK-LABEL: func.func private @conv2d_1x28x28x96
// CHECK:         {enters = {input = {pad = {high = array<i64: 0, 1, 1, 0>, low = array<i64: 0, 1, 1, 0>}}}, memory = "device"},
// CHECK-SAME:    {memory = "local", order = ["n", "oh", "g"], parallel = ["n", "oh", "g"], {{.*}} order = ["g", "oc", "oh", "ow", "kw"], sizes = array<i64: 128, 1, 1, 8, 3>
// CHECK-LABEL: func.func private @conv2d_1x56x56x64
// CHECK:         {memory = "local", {{.*}} parallel = ["n", "oh", "oc"], {{.*}} order = ["g", "oc", "oh", "ow", "kw", "ic"], sizes = array<i64: 1, 64, 1, 16, 1, 1>

// 64 invocations, and less of k at a time in less local memory.
// SMALL-LABEL: func.func private @relu_393216
// SMALL:         {memory = "register", order = ["d0"], sizes = array<i64: 256>
// SMALL-LABEL: func.func private @matmul_128x10
// SMALL:         sizes = array<i64: 32, 16, 4>{{.*}} order = ["n", "m", "k"], sizes = array<i64: 16, 32, 1>
func.func @main(%image: tensor<1x56x56x64xf32>, %c: tensor<64x64x3x3xf32>, %deep: tensor<1x28x28x96xf32>, %d: tensor<96x1x3x3xf32>,
    %x: tensor<128x768xf32>, %y: tensor<768x10xf32>, %q: tensor<70000x8x64xf32>, %k: tensor<70000x64x8xf32>,
    %z: tensor<128x3072xf32>, %rows: tensor<?x?xf32>) {
  %0 = "graph.conv2d"(%image, %c) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x56x56x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x56x56x64xf32>
  %1 = "graph.conv2d"(%deep, %d) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 96 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x28x28x96xf32>, tensor<96x1x3x3xf32>) -> tensor<1x28x28x96xf32>
  %2 = "graph.matmul"(%x, %y) {transpose_rhs = false} : (tensor<128x768xf32>, tensor<768x10xf32>) -> tensor<128x10xf32>
  %3 = "graph.batch_matmul"(%q, %k) {transpose_rhs = false} : (tensor<70000x8x64xf32>, tensor<70000x64x8xf32>) -> tensor<70000x8x8xf32>
  %4 = "graph.relu"(%z) : (tensor<128x3072xf32>) -> tensor<128x3072xf32>
  %5 = "graph.softmax"(%z) {axis = 1 : i64} : (tensor<128x3072xf32>) -> tensor<128x3072xf32>
  %6 = "graph.softmax"(%rows) {axis = 1 : i64} : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return
}
