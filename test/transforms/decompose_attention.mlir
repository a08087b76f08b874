// RUN: terrace-opt --decompose-attention --split-input-file %s | filecheck %s

// The scale and the mask follow the first product, where they fuse into its epilogue.
// CHECK-LABEL: func.func @masked
// CHECK:         %[[SCALE:.*]] = arith.constant dense<1.250000e-01> : tensor<f32>
// CHECK:         %[[SCORES:.*]] = "graph.batch_matmul"(%arg0, %arg1) {transpose_rhs = true}
// CHECK-SAME:      -> tensor<2x4x5x?xf32>
// CHECK-NEXT:    %[[SCALED:.*]] = "graph.mul"(%[[SCORES]], %[[SCALE]])
// CHECK-NEXT:    %[[MASKED:.*]] = "graph.add"(%[[SCALED]], %arg3) : (tensor<2x4x5x?xf32>, tensor<2x1x1x?xf32>)
// CHECK-NEXT:    %[[WEIGHTS:.*]] = "graph.softmax"(%[[MASKED]]) {axis = 3 : i64}
// CHECK-NEXT:    "graph.batch_matmul"(%[[WEIGHTS]], %arg2) {transpose_rhs = false}
func.func @masked(%q: tensor<2x4x5x64xf32>, %k: tensor<2x4x?x64xf32>, %v: tensor<2x4x?x8xf32>,
                  %mask: tensor<2x1x1x?xf32>) -> tensor<2x4x5x8xf32> {
  %0 = "graph.attention"(%q, %k, %v, %mask) {scale = 0.125 : f64, is_causal = false}
    : (tensor<2x4x5x64xf32>, tensor<2x4x?x64xf32>, tensor<2x4x?x8xf32>, tensor<2x1x1x?xf32>) -> tensor<2x4x5x8xf32>
  return %0 : tensor<2x4x5x8xf32>
}

// -----

// The causal mask is made from indices, before the product; a scale of one is left out.
// CHECK-LABEL: func.func @causal
// CHECK:         %[[ROWS:.*]] = tensor.dim %arg0
// CHECK:         %[[COLUMNS:.*]] = tensor.dim %arg1
// CHECK:         %[[EMPTY:.*]] = tensor.empty(%[[ROWS]], %[[COLUMNS]]) : tensor<?x?xf32>
// CHECK:         %[[MASK:.*]] = linalg.generic {{.*}} outs(%[[EMPTY]]
// CHECK:           arith.constant 0xFF800000 : f32
// CHECK:           arith.cmpi ule
// CHECK-NOT:     graph.mul
// CHECK:         "graph.add"(%{{.*}}, %[[MASK]]) : (tensor<3x?x?xf32>, tensor<?x?xf32>)
func.func @causal(%q: tensor<3x?x16xf32>, %k: tensor<3x?x16xf32>) -> tensor<3x?x16xf32> {
  %0 = "graph.attention"(%q, %k, %k) {scale = 1.0 : f64, is_causal = true}
    : (tensor<3x?x16xf32>, tensor<3x?x16xf32>, tensor<3x?x16xf32>) -> tensor<3x?x16xf32>
  return %0 : tensor<3x?x16xf32>
}

// -----

// The scores of half precisions are f32, the weights rounded to what they multiply.
// CHECK-LABEL: func.func @half
// CHECK:         %[[SCORES:.*]] = "graph.batch_matmul"(%arg0, %arg0) {transpose_rhs = true} : (tensor<3x5x16xf16>, tensor<3x5x16xf16>) -> tensor<3x5x5xf32>
// CHECK:         %[[SCALED:.*]] = "graph.mul"(%[[SCORES]], %{{.*}}) : (tensor<3x5x5xf32>, tensor<f32>)
// CHECK:         %[[MASK:.*]] = "graph.cast"(%arg1) : (tensor<5x5xf16>) -> tensor<5x5xf32>
// CHECK:         %[[MASKED:.*]] = "graph.add"(%[[SCALED]], %[[MASK]])
// CHECK:         %[[WEIGHTS:.*]] = "graph.softmax"(%[[MASKED]])
// CHECK:         %[[ROUNDED:.*]] = "graph.cast"(%[[WEIGHTS]]) : (tensor<3x5x5xf32>) -> tensor<3x5x5xf16>
// CHECK:         "graph.batch_matmul"(%[[ROUNDED]], %arg0)
func.func @half(%q: tensor<3x5x16xf16>, %mask: tensor<5x5xf16>) -> tensor<3x5x16xf16> {
  %0 = "graph.attention"(%q, %q, %q, %mask) {scale = 0.25 : f64, is_causal = false}
    : (tensor<3x5x16xf16>, tensor<3x5x16xf16>, tensor<3x5x16xf16>, tensor<5x5xf16>) -> tensor<3x5x16xf16>
  return %0 : tensor<3x5x16xf16>
}

// -----

// Heads of the query that share a key get a copy of it each.
// CHECK-LABEL: func.func @grouped
// CHECK:         %[[APART:.*]] = "graph.reshape"(%arg1, %{{.*}}, %{{.*}}) : (tensor<?x2x?x8xf32>, index, index) -> tensor<?x2x1x?x8xf32>
// CHECK:         %[[COPIES:.*]] = "graph.broadcast"(%[[APART]], {{.*}} -> tensor<?x2x3x?x8xf32>
// CHECK:         %[[KEY:.*]] = "graph.reshape"(%[[COPIES]], {{.*}} -> tensor<?x6x?x8xf32>
// CHECK:         "graph.batch_matmul"(%arg0, %[[KEY]]) {transpose_rhs = true}
func.func @grouped(%q: tensor<?x6x5x8xf32>, %k: tensor<?x2x?x8xf32>) -> tensor<?x6x5x8xf32> {
  %0 = "graph.attention"(%q, %k, %k) {scale = 1.0 : f64, is_causal = false}
    : (tensor<?x6x5x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x6x5x8xf32>
  return %0 : tensor<?x6x5x8xf32>
}

// -----

// Heads that follow rows are brought before them, and those of the result back.
// CHECK-LABEL: func.func @inner
// CHECK:         %[[Q:.*]] = "graph.permute"(%arg0) {permutation = array<i64: 0, 2, 1, 3>}
// CHECK:         "graph.batch_matmul"(%[[Q]], %arg1) {transpose_rhs = true}
// CHECK:         %[[RESULT:.*]] = "graph.batch_matmul"(%{{.*}}, %arg1) {transpose_rhs = false}
// CHECK-NEXT:    "graph.permute"(%[[RESULT]]) {permutation = array<i64: 0, 2, 1, 3>}
// CHECK-SAME:      -> tensor<1x?x6x8xf32>
func.func @inner(%q: tensor<1x?x6x8xf32>, %k: tensor<1x6x?x8xf32>) -> tensor<1x?x6x8xf32> {
  %0 = "graph.attention"(%q, %k, %k) {scale = 1.0 : f64, is_causal = false, inner_heads = array<i64: 0, 3>}
    : (tensor<1x?x6x8xf32>, tensor<1x6x?x8xf32>, tensor<1x6x?x8xf32>) -> tensor<1x?x6x8xf32>
  return %0 : tensor<1x?x6x8xf32>
}

// -----

// Without attention nothing changes.
// CHECK-LABEL: func.func @no_attention
// CHECK-NEXT:    "graph.softmax"(%arg0) {axis = 1 : i64}
// CHECK-NEXT:    return
func.func @no_attention(%x: tensor<3x?xf32>) -> tensor<3x?xf32> {
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<3x?xf32>) -> tensor<3x?xf32>
  return %0 : tensor<3x?xf32>
}
