// RUN: terrace-opt --pass-pipeline='convert-kernel-to-loop,lower-tiles-to-arrays,convert-loop-to-hls,canonicalize,cse,set-hardware-attributes,verify-hardware-attributes' %s -o %t && %python %S/Inputs/print_hls.py %t | filecheck %s

// A table is an initialised array of the design, which the kernel reads by itself.
// CHECK:      void lookup_32(const int8_t a0[32], int8_t a1[32]) {
// CHECK:        a1[{{.*}}] = w_table_{{[0-9a-f]+}}[int(int32_t(a0[{{.*}}]) + 128)];
// CHECK:      void model(const int8_t input0[32], int8_t output0[32]) {
// CHECK:        lookup_32(input0_banks, output0_banks);
func.func private @lookup_32(%arg0: tensor<32xi8>) -> tensor<32xi8> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {kinds = ["parallel"], names = ["d0"], sizes = array<i64: 32>}, schedule = {cuts = [
      {memory = "register", order = ["d0"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.lookup"(%arg0) {table = dense<"0x01010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010102"> : tensor<256xi8>} : (tensor<32xi8>) -> tensor<32xi8>
  return %0 : tensor<32xi8>
}
func.func @main(%x: tensor<32xi8>) -> tensor<32xi8> {
  %0 = call @lookup_32(%x) : (tensor<32xi8>) -> tensor<32xi8>
  return %0 : tensor<32xi8>
}
