// RUN: terrace-opt --split-contractions %s | filecheck %s

"graph.parameter"() {sym_name = "w", type = tensor<8x24xf32>} : () -> ()
"graph.parameter"() {sym_name = "v", type = tensor<24x8xf32>} : () -> ()

// The parts of what two products read are made once; those of weights are in another order, along their own axis.
// CHECK-LABEL: func.func @layers
// CHECK:         %[[HIGH:.*]] = "graph.cast"(%arg0) : (tensor<2x8x24xf32>) -> tensor<2x8x24xbf16>
// CHECK:         %[[BACK:.*]] = "graph.cast"(%[[HIGH]]) : (tensor<2x8x24xbf16>) -> tensor<2x8x24xf32>
// CHECK:         %[[REST:.*]] = "graph.sub"(%arg0, %[[BACK]])
// CHECK:         %[[LOW:.*]] = "graph.cast"(%[[REST]]) : (tensor<2x8x24xf32>) -> tensor<2x8x24xbf16>
// CHECK:         %[[TWICE:.*]] = "graph.concat"(%[[HIGH]], %[[HIGH]]) {axis = 2 : i64}
// CHECK:         %[[X:.*]] = "graph.concat"(%[[TWICE]], %[[LOW]]) {axis = 2 : i64} {{.*}} -> tensor<2x8x72xbf16>
// CHECK:         %[[BOTH:.*]] = "graph.concat"(%[[W_HIGH:.*]], %[[W_LOW:.*]]) {axis = 1 : i64}
// CHECK:         %[[W:.*]] = "graph.concat"(%[[BOTH]], %[[W_HIGH]]) {axis = 1 : i64} {{.*}} -> tensor<8x72xbf16>
// CHECK:         "graph.matmul"(%[[X]], %[[W]]) {transpose_rhs = true} : (tensor<2x8x72xbf16>, tensor<8x72xbf16>) -> tensor<2x8x8xf32>
// CHECK:         %[[V:.*]] = "graph.concat"(%{{.*}}, %{{.*}}) {axis = 0 : i64} {{.*}} -> tensor<72x8xbf16>
// CHECK:         "graph.matmul"(%[[X]], %[[V]]) {transpose_rhs = false}
func.func @layers(%x: tensor<2x8x24xf32>) -> (tensor<2x8x8xf32>, tensor<2x8x8xf32>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x24xf32>
  %v = "graph.load"() {symbol = @v} : () -> tensor<24x8xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<2x8x24xf32>, tensor<8x24xf32>) -> tensor<2x8x8xf32>
  %1 = "graph.matmul"(%x, %v) {transpose_rhs = false} : (tensor<2x8x24xf32>, tensor<24x8xf32>) -> tensor<2x8x8xf32>
  return %0, %1 : tensor<2x8x8xf32>, tensor<2x8x8xf32>
}

// An unknown number of rows may be many.
// CHECK-LABEL: func.func @unknown
// CHECK:         "graph.matmul"({{.*}}) {{.*}} : (tensor<?x72xbf16>, tensor<8x72xbf16>) -> tensor<?x8xf32>
func.func @unknown(%x: tensor<?x24xf32>) -> tensor<?x8xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x24xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<?x24xf32>, tensor<8x24xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Few rows, activations on both sides, and other types stay.
// CHECK-LABEL: func.func @others
// CHECK-NOT:     graph.cast
// CHECK:         "graph.matmul"(%arg0
// CHECK-NEXT:    "graph.matmul"(%arg1, %arg1)
// CHECK-NEXT:    "graph.matmul"(%arg2, %arg2)
func.func @others(%x: tensor<15x24xf32>, %y: tensor<24x24xf32>, %z: tensor<24x24xf64>)
    -> (tensor<15x8xf32>, tensor<24x24xf32>, tensor<24x24xf64>) {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x24xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<15x24xf32>, tensor<8x24xf32>) -> tensor<15x8xf32>
  %1 = "graph.matmul"(%y, %y) {transpose_rhs = true} : (tensor<24x24xf32>, tensor<24x24xf32>) -> tensor<24x24xf32>
  %2 = "graph.matmul"(%z, %z) {transpose_rhs = true} : (tensor<24x24xf64>, tensor<24x24xf64>) -> tensor<24x24xf64>
  return %0, %1, %2 : tensor<15x8xf32>, tensor<24x24xf32>, tensor<24x24xf64>
}

// What one branch makes is not there in the other.
// CHECK-LABEL: func.func @branches
// CHECK:         scf.if
// CHECK:           %[[X:.*]] = "graph.concat"({{.*}}) {axis = 1 : i64} {{.*}} -> tensor<16x72xbf16>
// CHECK:           "graph.matmul"(%[[X]], %{{.*}})
// CHECK:         } else {
// CHECK:           %[[Y:.*]] = "graph.concat"({{.*}}) {axis = 1 : i64} {{.*}} -> tensor<16x72xbf16>
// CHECK:           "graph.matmul"(%[[Y]], %{{.*}})
func.func @branches(%x: tensor<16x24xf32>, %p: i1) -> tensor<16x8xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<8x24xf32>
  %0 = scf.if %p -> (tensor<16x8xf32>) {
    %1 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<16x24xf32>, tensor<8x24xf32>) -> tensor<16x8xf32>
    scf.yield %1 : tensor<16x8xf32>
  } else {
    %1 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<16x24xf32>, tensor<8x24xf32>) -> tensor<16x8xf32>
    %2 = "graph.relu"(%1) : (tensor<16x8xf32>) -> tensor<16x8xf32>
    scf.yield %2 : tensor<16x8xf32>
  }
  return %0 : tensor<16x8xf32>
}
