// RUN: terrace-opt --convert-graph-to-linalg --split-input-file %s | filecheck %s

// The scales come first: the last group, of 3, is filled up with zeros. Then each byte takes two elements.
// CHECK-LABEL: func.func @encode
// CHECK:         tensor.pad %arg0 low[0, 0] high[0, 1]
// CHECK:         tensor.expand_shape {{.*}} into tensor<5x2x4xf32>
// CHECK:         linalg.generic {{.*}}"reduction"]
// CHECK:           math.absf
// CHECK:           arith.maximumf
// CHECK:         %[[SCALES:.*]] = linalg.generic
// CHECK:           arith.divf
// CHECK:         %[[CODES:.*]] = linalg.generic
// CHECK:           math.roundeven
// CHECK:           arith.shli
// CHECK:           arith.ori
// CHECK:         return %[[CODES]], %[[SCALES]] : tensor<5x4xi8>, tensor<5x2xf32>
func.func @encode(%x: tensor<5x7xf32>) -> (tensor<5x4xi8>, tensor<5x2xf32>) {
  %0:2 = "graph.encode"(%x) {encoding = {int4_groups = {axis = 1 : i64, group = 4 : i64}}} : (tensor<5x7xf32>) -> (tensor<5x4xi8>, tensor<5x2xf32>)
  return %0#0, %0#1 : tensor<5x4xi8>, tensor<5x2xf32>
}

// -----

// The size along the axis is what was given; a half precision is rounded at the end.
// CHECK-LABEL: func.func @decode
// CHECK:         tensor.empty(%arg2, %{{.*}}) : tensor<?x?xf32>
// CHECK:         linalg.generic
// CHECK:           tensor.extract %arg0
// CHECK:           arith.shrsi
// CHECK:           tensor.extract %arg1
// CHECK:           arith.mulf
// CHECK:         linalg.generic
// CHECK:           arith.truncf {{.*}} : f32 to bf16
func.func @decode(%c: tensor<?x?xi8>, %s: tensor<?x?xf32>, %n: index) -> tensor<?x?xbf16> {
  %0 = "graph.decode"(%c, %s, %n) {encoding = {int4_groups = {axis = 0 : i64, group = 32 : i64}}, operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<?x?xi8>, tensor<?x?xf32>, index) -> tensor<?x?xbf16>
  return %0 : tensor<?x?xbf16>
}
