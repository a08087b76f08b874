// RUN: terrace-opt --convert-kernel-to-loop %s | filecheck %s

// Weights are packed with the neighbours along k that an atom takes together; beside them stand the sums that make up for
// reading lhs as unsigned, which is 128 more than it is. The last step has the two elements of k that remain.
// CHECK-LABEL: func.func private @matmul
// CHECK-SAME:    (%arg0: tensor<3x6xi8>, %arg1: tensor<2x2x16x4xi8>, %arg2: tensor<1x20xi32>, %arg3: tensor<20xi32>) -> tensor<3x20xi32>
// CHECK:         %[[SUMS:.*]] = "loop.to_buffer"(%arg3)
// CHECK:         "loop.load_tile"(%[[SUMS]], %{{.*}}) {dims = array<i64: -1, 0>{{.*}} -> vector<3x16xi32>
// CHECK:         %[[LHS:.*]] = arith.xori %{{.*}}, %{{.*}} : vector<3x4xi8>
// CHECK:         "loop.contract_tile"(%[[LHS]], %{{.*}}, %{{.*}}) {atom = "step", unsigned_lhs} : (vector<3x4xi8>, vector<1x16x4xi8>, vector<3x16xi32>)
// CHECK:         "loop.contract_tile"{{.*}} (vector<3x2xi8>, vector<1x16x4xi8>, vector<3x16xi32>)
// CHECK:         "loop.contract_tile"{{.*}} (vector<3x4xi8>, vector<1x4x4xi8>, vector<3x4xi32>)
// CHECK-LABEL: func.func @main
// CHECK-DAG:     %[[PACKED:.*]] = "graph.pack"(%arg1) {{.*}} -> tensor<2x2x16x4xi8>
// CHECK-DAG:     %[[COLUMNS:.*]] = "graph.reduce"(%arg1) {axes = array<i64: 1>, keepdims = false, kind = "sum"} : (tensor<20x6xi8>) -> tensor<20xi32>
// CHECK-DAG:     %[[FACTOR:.*]] = arith.constant dense<-128> : tensor<i32>
// CHECK:         %[[BESIDE:.*]] = "graph.mul"(%[[COLUMNS]], %[[FACTOR]])
// CHECK:         call @matmul(%arg0, %[[PACKED]], %arg2, %[[BESIDE]])
func.func private @matmul(%x: tensor<3x6xi8>, %w: tensor<20x6xi8>, %b: tensor<1x20xi32>) -> tensor<3x20xi32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 3, 20, 6>},
    schedule = {atom = "step", cuts = [
      {memory = "device", enters = {rhs = {pack_with_sums = {outer_permutation = array<i64: 0, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 3, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<3x6xi8>, tensor<20x6xi8>) -> tensor<3x20xi32>
  %1 = "graph.add"(%0, %b) : (tensor<3x20xi32>, tensor<1x20xi32>) -> tensor<3x20xi32>
  return %1 : tensor<3x20xi32>
}
func.func @main(%x: tensor<3x6xi8>, %w: tensor<20x6xi8>, %b: tensor<1x20xi32>) -> tensor<3x20xi32> {
  %0 = call @matmul(%x, %w, %b) : (tensor<3x6xi8>, tensor<20x6xi8>, tensor<1x20xi32>) -> tensor<3x20xi32>
  return %0 : tensor<3x20xi32>
}


// A convolution of three channels in steps of four: local memory has a fourth, and holds the image as unsigned, its
// padding too. The sums begin with what that adds.
// CHECK-LABEL: func.func private @convolution
// CHECK:         %[[LOCAL:.*]] = "loop.alloc"() : () -> memref<3x5x4xi8, "local">
// CHECK:         %[[PADDING:.*]] = arith.constant dense<-128> : vector<4xi8>
// CHECK:         "loop.store_tile"(%[[PADDING]], %[[LOCAL]],
// CHECK:         %[[PIXEL:.*]] = arith.xori %{{.*}}, %{{.*}} : vector<3xi8>
// CHECK:         "loop.store_tile"(%[[PIXEL]], %[[LOCAL]],
// CHECK:         %[[SUMS:.*]] = "loop.load_tile"({{.*}} : (memref<20xi32>, index) -> vector<1x3x16xi32>
// CHECK:         scf.for {{.*}} iter_args(%{{.*}} = %[[SUMS]])
// CHECK:         %[[LHS:.*]] = "loop.load_tile"(%[[LOCAL]], {{.*}} -> vector<1x3x4xi8>
// CHECK:         %[[RHS:.*]] = "loop.load_tile"({{.*}} : (memref<2x3x3x1x16x4xi8>, {{.*}} -> vector<1x16x4xi8>
// CHECK:         "loop.contract_tile"(%[[LHS]], %[[RHS]], %{{.*}}) {atom = "int8_dot", unsigned_lhs}
func.func private @convolution(%x: tensor<1x3x3x3xi8>, %w: tensor<20x3x3x3xi8>) -> tensor<1x3x3x20xi32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {
      names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 3, 3, 20, 3, 3, 3>},
    schedule = {atom = "int8_dot", cuts = [
      {memory = "device", enters = {weight = {pack_with_sums = {outer_permutation = array<i64: 0, 2, 3, 1>, inner_dims = array<i64: 0, 1>, inner_tiles = array<i64: 16, 4>}}}},
      {memory = "local", order = ["oh"], sizes = array<i64: 1>, enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow", "ic"], sizes = array<i64: 16, 1, 3, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, dilations = array<i64: 1, 1>,
    groups = 1 : i64, layout = "NHWC"} : (tensor<1x3x3x3xi8>, tensor<20x3x3x3xi8>) -> tensor<1x3x3x20xi32>
  return %0 : tensor<1x3x3x20xi32>
}
