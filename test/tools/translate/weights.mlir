// A weight is an operand of the kernel like any other; as it is packed, the host's part of the text has a constant, too.

// RUN: rm -rf %t && terrace-translate --to spirv --gpu llvmpipe --output-dir %t %s
// RUN: filecheck %s --input-file=%t/matmul_4x8.mlir

// CHECK: "hal.dispatch.extern"
// CHECK: executable.object<{path = "matmul_4x8.spv"}>
"graph.parameter"() {sym_name = "weight", type = tensor<8x6xf32>} : () -> ()
func.func @main(%x: tensor<4x6xf32>) -> tensor<4x8xf32> {
  %0 = "graph.load"() {symbol = @weight} : () -> tensor<8x6xf32>
  %1 = "graph.matmul"(%x, %0) {transpose_rhs = true} : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}
