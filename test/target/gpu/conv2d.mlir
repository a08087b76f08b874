// RUN: terrace-compile --target vulkan --gpu ampere --emit iree %s | filecheck %s

// The rows that a block of output rows needs go with their padding into workgroup memory (space 3), a workgroup per
// block. Behind a barrier an invocation sums 4 pixels by 2 channels over window and input channels; the result is
// stored after the epilogue. Only weights are read from global memory in there.
// CHECK:         "memref.alloc"() {{.*}} -> memref<6x18x8xf32, 3 : i32>
// CHECK:         "memref.load"({{.*}} : (memref<1x16x16x8xf32, strided
// CHECK:         "memref.store"({{.*}} : (f32, memref<6x18x8xf32, 3 : i32>
// CHECK:         "gpu.barrier"
// CHECK-COUNT-3: "scf.for"
// CHECK-COUNT-4: "memref.load"({{.*}} : (memref<6x18x8xf32, 3 : i32>
// CHECK-COUNT-2: "memref.load"({{.*}} : (memref<1x3x3x8x32xf32, strided
// CHECK-NEXT:    "math.fma"
// CHECK-COUNT-7: "math.fma"
// CHECK-NOT:     "math.fma"
// CHECK-COUNT-8: "memref.store"({{.*}} : (f32, memref<1x16x16x32xf32, strided
// CHECK-NOT:     "memref.store"
// CHECK:         workgroup_size = [256, 1, 1] subgroup_size = 32>
"graph.parameter"() {sym_name = "w", type = tensor<32x8x3x3xf32>} : () -> ()
func.func @main(%x: tensor<1x16x16x8xf32>) -> tensor<1x16x16x32xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<32x8x3x3xf32>
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x16x16x8xf32>, tensor<32x8x3x3xf32>) -> tensor<1x16x16x32xf32>
  %1 = "graph.relu"(%0) : (tensor<1x16x16x32xf32>) -> tensor<1x16x16x32xf32>
  return %1 : tensor<1x16x16x32xf32>
}
