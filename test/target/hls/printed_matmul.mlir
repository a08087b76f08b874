// RUN: terrace-opt --pass-pipeline='convert-kernel-to-loop,lower-tiles-to-arrays,convert-loop-to-hls,canonicalize,cse,set-hardware-attributes,verify-hardware-attributes' %s -o %t && %python %S/Inputs/print_hls.py %t | filecheck %s

// A matmul with bias at the kernel level becomes one function of labelled loops with pragmas, called by the top.
// CHECK:      void matmul_add_1x10(const float a0[84], const float a1[840], const float a2[10], float a3[10]) {
// CHECK-NEXT:   float [[ACC:t[0-9]+]][10];
// CHECK-NEXT: #pragma HLS ARRAY_PARTITION variable=[[ACC]] type=complete dim=0
// CHECK-NEXT:   loop_1: for (int i0 = 0; i0 < 10; i0 += 1) {
// CHECK-NEXT: #pragma HLS UNROLL
// CHECK-NEXT:     [[ACC]][i0] = 0.0f;
// CHECK-NEXT:   }
// CHECK-NEXT:   loop_2: for (int i0 = 0; i0 < 84; i0 += 4) {
// CHECK:          loop_2_1: for (int i1 = 0; i1 < 4; i1 += 1) {
// CHECK-NEXT: #pragma HLS PIPELINE II=1
// CHECK-NEXT:       [[LHS:t[0-9]+]][i1] = a0[i0 + i1];
// CHECK:              [[RHS:t[0-9]+]][i1][i2] = a1[i2 * 84 + i0 + i1];
// CHECK:          loop_2_3: for (int i1 = 0; i1 < 4; i1 += 1) {
// CHECK-NEXT: #pragma HLS PIPELINE II=4
// CHECK-NEXT:       loop_2_3_1: for (int i2 = 0; i2 < 10; i2 += 1) {
// CHECK-NEXT: #pragma HLS UNROLL
// CHECK-NEXT:         [[ACC]][i2] = op::fma([[LHS]][i1], [[RHS]][i1][i2], [[ACC]][i2]);
// CHECK:        loop_3: for (int i0 = 0; i0 < 10; i0 += 1) {
// CHECK-NEXT: #pragma HLS PIPELINE II=1
// CHECK-NEXT:     a3[i0] = [[ACC]][i0] + a2[i0];
// CHECK:      void model(const float input0[84], const float input1[10], float output0[10]) {
// CHECK-NEXT: #pragma HLS INTERFACE m_axi port=input0 offset=slave bundle=gmem_input0 depth=84
// CHECK-NEXT: #pragma HLS INTERFACE s_axilite port=input0 bundle=control
// CHECK:        matmul_add_1x10(input0, w_f_weight, input1, output0);
func.func private @matmul_add_1x10(%arg0: tensor<1x84xf32>, %arg1: tensor<10x84xf32>, %arg2: tensor<1x10xf32>) -> tensor<1x10xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 1, 10, 84>}, schedule = {cuts = [
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 10, 1, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%arg0, %arg1) {transpose_rhs = true} : (tensor<1x84xf32>, tensor<10x84xf32>) -> tensor<1x10xf32>
  %1 = "graph.add"(%0, %arg2) : (tensor<1x10xf32>, tensor<1x10xf32>) -> tensor<1x10xf32>
  return %1 : tensor<1x10xf32>
}
"graph.parameter"() {sym_name = "f.weight", type = tensor<10x84xf32>} : () -> ()
func.func @main(%x: tensor<84xf32>, %b: tensor<1x10xf32>) -> tensor<10xf32> {
  %w = "graph.load"() {symbol = @f.weight} : () -> tensor<10x84xf32>
  %0 = "graph.reshape"(%x) : (tensor<84xf32>) -> tensor<1x84xf32>
  %1 = call @matmul_add_1x10(%0, %w, %b) : (tensor<1x84xf32>, tensor<10x84xf32>, tensor<1x10xf32>) -> tensor<1x10xf32>
  %2 = "graph.reshape"(%1) : (tensor<1x10xf32>) -> tensor<10xf32>
  return %2 : tensor<10xf32>
}
