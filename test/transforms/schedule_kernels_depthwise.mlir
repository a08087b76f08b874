// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels)' --split-input-file %s | filecheck %s

// A depthwise convolution of int8 takes four rows of the window together; four vectors of channels become one of bytes.
// CHECK-LABEL: func.func private @conv2d_1x28x28x144
// CHECK:         schedule = {atom = "int8_dot", cuts = [{enters = {weight = {pack_with_sums = {inner_dims = array<i64: 0, 2>, inner_tiles = array<i64: 64, 4>
// CHECK-SAME:    order = ["g", "oh", "ow", "kw"], sizes = array<i64: 64, 1, 4, 3>
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f", "avx512vl", "avx512vnni"], name = "cpu", threads = 1 : i64}} {
  "graph.parameter"() {sym_name = "w", type = tensor<144x1x3x3xi8>} : () -> ()
  func.func @main(%x: tensor<1x28x28x144xi8>) -> tensor<1x28x28x144xi32> {
    %w = "graph.load"() {symbol = @w} : () -> tensor<144x1x3x3xi8>
    %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 144 : i64,
      dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x28x28x144xi8>, tensor<144x1x3x3xi8>) -> tensor<1x28x28x144xi32>
    return %0 : tensor<1x28x28x144xi32>
  }
}

// -----

// A window of nine rows has too much code for that.
// CHECK-LABEL: func.func private @conv2d_1x28x28x144
// CHECK-NOT:     atom
// CHECK:         order = ["g", "oh", "ow", "kw"], sizes = array<i64: 16, 1, 14, 3>
module attributes {terrace.target = {cpu = {}, features = ["avx512bw", "avx512f", "avx512vl", "avx512vnni"], name = "cpu", threads = 1 : i64}} {
  "graph.parameter"() {sym_name = "w", type = tensor<144x1x9x3xi8>} : () -> ()
  func.func @main(%x: tensor<1x28x28x144xi8>) -> tensor<1x28x28x144xi32> {
    %w = "graph.load"() {symbol = @w} : () -> tensor<144x1x9x3xi8>
    %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 4, 4, 1, 1>, groups = 144 : i64,
      dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x28x28x144xi8>, tensor<144x1x9x3xi8>) -> tensor<1x28x28x144xi32>
    return %0 : tensor<1x28x28x144xi32>
  }
}

// -----

// A CPU without the atom multiplies and adds.
// CHECK-LABEL: func.func private @conv2d_1x28x28x144
// CHECK-NOT:     atom
// CHECK:         order = ["g", "oh", "ow", "kw"], sizes = array<i64: 8, 1, {{[0-9]+}}, 3>
module attributes {terrace.target = {cpu = {vector_bits = 256 : i64, vector_registers = 16 : i64}, features = ["avx2", "fma"], name = "cpu", threads = 1 : i64}} {
  "graph.parameter"() {sym_name = "w", type = tensor<144x1x3x3xi8>} : () -> ()
  func.func @main(%x: tensor<1x28x28x144xi8>) -> tensor<1x28x28x144xi32> {
    %w = "graph.load"() {symbol = @w} : () -> tensor<144x1x3x3xi8>
    %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 144 : i64,
      dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x28x28x144xi8>, tensor<144x1x3x3xi8>) -> tensor<1x28x28x144xi32>
    return %0 : tensor<1x28x28x144xi32>
  }
}
