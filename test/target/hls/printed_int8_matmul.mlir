// RUN: terrace-opt --pass-pipeline='convert-kernel-to-loop,lower-tiles-to-arrays,convert-loop-to-hls,canonicalize,cse,set-hardware-attributes,verify-hardware-attributes' %s -o %t && %python %S/Inputs/print_hls.py %t | filecheck %s

// An int8 linear layer: products summed in 32 bits, in pairs, the requantisation in 64, every literal of the width it is used in;
// all of it in one loop, which uses one multiplier. Four elements of the row are read at once, each by a bank of its
// own, and eight of each bank of the weight, which has as many copies. The host's port has no banks.
// CHECK:      void linear_1x8(const int8_t a0[12], const int8_t a1[96], const int32_t a2[8], const int32_t a3[8], const int32_t a4[8], int8_t a5[8]) {
// CHECK-NEXT: #pragma HLS ARRAY_PARTITION variable=a0 type=cyclic factor=4 dim=1
// CHECK-NEXT: #pragma HLS ARRAY_PARTITION variable=a1 type=cyclic factor=4 dim=1
// CHECK-NEXT:   int32_t [[ACC:t[0-9]+]][8];
// CHECK:        [[ACC]][i1] = [[ACC]][i1] + (((int32_t({{t[0-9]+}}[0]) * int32_t({{t[0-9]+}}[0][i1])) + (int32_t({{t[0-9]+}}[1])
// CHECK:      #pragma HLS PIPELINE II=1
// CHECK-NEXT:   {{.*}}int64_t([[ACC]][i0] + a2[i0]) * int64_t(a3[i0]);
// CHECK:        a5[i0] = larger(int8_t(smaller(larger({{.*}} >> {{.*}}, int64_t(-128)), int64_t(127))), int8_t(0));
// CHECK:      void model(const int8_t input0[12], int8_t output0[8]) {
// CHECK:        static int8_t input0_banks[12];
// CHECK-NEXT: #pragma HLS ARRAY_PARTITION variable=input0_banks type=cyclic factor=4 dim=1
// CHECK-NEXT:   move_elements<12>(input0, input0_banks);
// CHECK-NEXT: #pragma HLS ARRAY_PARTITION variable=w_w type=cyclic factor=4 dim=1
// CHECK-NEXT: #pragma HLS BIND_STORAGE variable=w_w type=rom_np
// CHECK-NEXT:   linear_1x8(input0_banks, w_w, w_b, w_m, w_s, output0);
func.func private @linear_1x8(%arg0: tensor<1x12xi8>, %arg1: tensor<8x12xi8>, %arg2: tensor<1x8xi32>, %arg3: tensor<1x8xi32>, %arg4: tensor<1x8xi32>) -> tensor<1x8xi8> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {kinds = ["parallel", "parallel", "reduction"], names = ["m", "n", "k"], sizes = array<i64: 1, 8, 12>}, schedule = {cuts = [
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 8, 1, 4>}]}} : () -> ()
  %0 = "graph.matmul"(%arg0, %arg1) {transpose_rhs = true} : (tensor<1x12xi8>, tensor<8x12xi8>) -> tensor<1x8xi32>
  %1 = "graph.add"(%0, %arg2) : (tensor<1x8xi32>, tensor<1x8xi32>) -> tensor<1x8xi32>
  %2 = "graph.requantize"(%1, %arg3, %arg4) : (tensor<1x8xi32>, tensor<1x8xi32>, tensor<1x8xi32>) -> tensor<1x8xi8>
  %3 = "graph.relu"(%2) : (tensor<1x8xi8>) -> tensor<1x8xi8>
  return %3 : tensor<1x8xi8>
}
"graph.parameter"() {sym_name = "w", type = tensor<8x12xi8>} : () -> ()
"graph.parameter"() {sym_name = "b", type = tensor<1x8xi32>} : () -> ()
"graph.parameter"() {sym_name = "m", type = tensor<1x8xi32>} : () -> ()
"graph.parameter"() {sym_name = "s", type = tensor<1x8xi32>} : () -> ()
func.func @main(%x: tensor<1x12xi8>) -> tensor<1x8xi8> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x12xi8>
  %b = "graph.load"() {symbol = @b} : () -> tensor<1x8xi32>
  %m = "graph.load"() {symbol = @m} : () -> tensor<1x8xi32>
  %s = "graph.load"() {symbol = @s} : () -> tensor<1x8xi32>
  %0 = call @linear_1x8(%x, %w, %b, %m, %s) : (tensor<1x12xi8>, tensor<8x12xi8>, tensor<1x8xi32>, tensor<1x8xi32>, tensor<1x8xi32>) -> tensor<1x8xi8>
  return %0 : tensor<1x8xi8>
}
