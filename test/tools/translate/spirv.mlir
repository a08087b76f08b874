// REQUIRES: spirv-val
// RUN: rm -rf %t && terrace-translate --to spirv --gpu llvmpipe --output-dir %t %s
// RUN: spirv-val --target-env vulkan1.1 %t/matmul_64x80.spv
// RUN: spirv-val --target-env vulkan1.1 %t/softmax_64x80.spv
// RUN: spirv-dis %t/matmul_64x80.spv | filecheck %s --check-prefix=BINARY
// RUN: filecheck %s --check-prefix=PROGRAM --input-file=%t/matmul_64x80.mlir

// Entry point and storage buffers as Vulkan has them; both operands are staged in workgroup memory.
// BINARY-DAG: OpEntryPoint GLCompute %{{.*}} "matmul_64x80"
// BINARY-DAG: OpExecutionMode %{{.*}} LocalSize 64 1 1
// BINARY-DAG: OpDecorate %matmul_64x80_arg_0 Binding 0
// BINARY-DAG: OpDecorate %matmul_64x80_arg_2 Binding 2
// BINARY:     OpVariable %{{.*}} Workgroup
// BINARY:     OpVariable %{{.*}} Workgroup
// BINARY:     OpControlBarrier

// PROGRAM:      "hal.dispatch.extern"
// PROGRAM:      executable.object<{path = "matmul_64x80.spv"}>
func.func @main(%a: tensor<64x96xf32>, %b: tensor<96x80xf32>) -> tensor<64x80xf32> {
  %0 = "graph.matmul"(%a, %b) {transpose_rhs = false} : (tensor<64x96xf32>, tensor<96x80xf32>) -> tensor<64x80xf32>
  %1 = "graph.softmax"(%0) {axis = 1 : i64} : (tensor<64x80xf32>) -> tensor<64x80xf32>
  return %1 : tensor<64x80xf32>
}
