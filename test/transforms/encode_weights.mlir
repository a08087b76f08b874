// RUN: terrace-opt --encode-weights %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='encode-weights{bits=8 group=0 zero-points=true}' %s | filecheck %s --check-prefix=BYTES

// Linear layers read what their encoding stands for. A group is no longer than k.
// CHECK-LABEL: func.func @linear
// CHECK:         %[[W:.*]] = "graph.load"() {symbol = @w}
// CHECK:         %[[E:.*]]:2 = "graph.encode"(%[[W]]) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64, scale_bits = 16 : i64}}} : (tensor<4x64xf32>) -> (tensor<4x32xi8>, tensor<4x2xbf16>)
// CHECK:         %[[D:.*]] = "graph.decode"(%[[E]]#0, %[[E]]#1) {{.*}} -> tensor<4x64xf32>
// CHECK:         "graph.matmul"(%arg0, %[[D]])
// BYTES-LABEL: func.func @linear
// BYTES:         "graph.encode"(%{{.*}}) {encoding = {int8_groups = {axis = 1 : i64, group = 64 : i64, scale_bits = 16 : i64, zero_points = 1 : i64}}} : (tensor<4x64xf32>) -> (tensor<4x64xi8>, tensor<4x1xbf16>, tensor<4x1xbf16>)
"graph.parameter"() {sym_name = "w", type = tensor<4x64xf32>} : () -> ()
"graph.parameter"() {sym_name = "b", type = tensor<8x4xbf16>} : () -> ()
"graph.parameter"() {sym_name = "q", type = tensor<4x64xi8>} : () -> ()
func.func @linear(%x: tensor<2x64xf32>) -> tensor<2x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x64xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x64xf32>, tensor<4x64xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @half
// CHECK:         "graph.encode"(%{{.*}}) {encoding = {int4_groups = {axis = 0 : i64, group = 8 : i64, scale_bits = 16 : i64}}} : (tensor<8x4xbf16>) -> (tensor<4x4xi8>, tensor<1x4xbf16>)
// CHECK:         "graph.decode"({{.*}} -> tensor<8x4xbf16>
func.func @half(%x: tensor<2x8xbf16>) -> tensor<2x4xbf16> {
  %w = "graph.load"() {symbol = @b} : () -> tensor<8x4xbf16>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<2x8xbf16>, tensor<8x4xbf16>) -> tensor<2x4xbf16>
  return %0 : tensor<2x4xbf16>
}

// Products of activations, and of integers, stay as they are.
// CHECK-LABEL: func.func @others
// CHECK-NOT:     graph.encode
func.func @others(%x: tensor<2x64xf32>, %y: tensor<4x64xf32>, %z: tensor<2x64xi8>) -> (tensor<2x4xf32>, tensor<2x4xi32>) {
  %q = "graph.load"() {symbol = @q} : () -> tensor<4x64xi8>
  %0 = "graph.matmul"(%x, %y) {transpose_rhs = true} : (tensor<2x64xf32>, tensor<4x64xf32>) -> tensor<2x4xf32>
  %1 = "graph.matmul"(%z, %q) {transpose_rhs = true} : (tensor<2x64xi8>, tensor<4x64xi8>) -> tensor<2x4xi32>
  return %0, %1 : tensor<2x4xf32>, tensor<2x4xi32>
}
