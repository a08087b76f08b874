// RUN: terrace-opt --split-input-file --convert-loop-to-iree %s | filecheck %s

// What IREE must not look through: its compile fails on a scatter fused with a slice or a pad, and on long chains; a
// scatter fused with what reads the tensor that it writes to gives wrong numbers.

// CHECK-LABEL: func.func @main
// CHECK-NEXT:    %[[SLICE:.*]] = tensor.extract_slice
// CHECK-NEXT:    %[[APART:.*]] = "iree_tensor_ext.compute_barrier.start"(%[[SLICE]])
// CHECK-NEXT:    %[[WRITTEN:.*]] = tm_tensor.scatter {{.*}} outs(%[[APART]]
// CHECK:         %[[BEHIND:.*]] = "iree_tensor_ext.compute_barrier.start"(%[[WRITTEN]])
// CHECK-NEXT:    tensor.pad %[[BEHIND]]
func.func @main(%x: tensor<4x3xf32>, %update: tensor<2xf32>, %place: tensor<2x1xi32>) -> tensor<5xf32> {
  %slice = tensor.extract_slice %x[1, 0] [1, 3] [1, 1] : tensor<4x3xf32> to tensor<3xf32>
  %0 = tm_tensor.scatter {dimension_map = array<i64: 0>} unique_indices(false) ins(%update, %place : tensor<2xf32>, tensor<2x1xi32>) outs(%slice : tensor<3xf32>) {
  ^bb0(%new: f32, %old: f32):
    tm_tensor.yield %new : f32
  } -> tensor<3xf32>
  %zero = arith.constant 0.0 : f32
  %1 = tensor.pad %0 low[1] high[1] {
  ^bb0(%i: index):
    tensor.yield %zero : f32
  } : tensor<3xf32> to tensor<5xf32>
  return %1 : tensor<5xf32>
}

// -----

// What is written is a part of the tensor that is written to, and so copied; the places are not.
// CHECK-LABEL: func.func @main
// CHECK-NEXT:    tensor.extract_slice %arg0
// CHECK-NEXT:    %[[VIEW:.*]] = tensor.expand_shape
// CHECK:         %[[LARGER:.*]] = tensor.pad %[[VIEW]] low[0, 0] high[0, 1]
// CHECK:         %[[COPY:.*]] = tensor.extract_slice %[[LARGER]][0, 0] [2, 1]
// CHECK:         %[[APART:.*]] = "util.optimization_barrier"(%[[COPY]])
// CHECK-NEXT:    tm_tensor.scatter {{.*}} ins(%[[APART]], %arg1 {{.*}} outs(%arg0
func.func @main(%x: tensor<4xf32>, %place: tensor<2x1xi32>) -> tensor<4xf32> {
  %slice = tensor.extract_slice %x[0] [2] [1] : tensor<4xf32> to tensor<2xf32>
  %view = tensor.expand_shape %slice [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
  %0 = tm_tensor.scatter {dimension_map = array<i64: 0>} unique_indices(false) ins(%view, %place : tensor<2x1xf32>, tensor<2x1xi32>) outs(%x : tensor<4xf32>) {
  ^bb0(%new: f32, %old: f32):
    tm_tensor.yield %new : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// What is written is computed from the tensor that is written to.
// CHECK-LABEL: func.func @main
// CHECK:         %[[READ:.*]] = linalg.exp ins(%arg0
// CHECK-NEXT:    %[[APART:.*]] = "iree_tensor_ext.compute_barrier.start"(%[[READ]])
// CHECK-NEXT:    tm_tensor.scatter {{.*}} ins(%[[APART]], %arg1 {{.*}} outs(%arg0
func.func @main(%x: tensor<4x1xf32>, %place: tensor<4x1xi32>) -> tensor<4x1xf32> {
  %empty = tensor.empty() : tensor<4x1xf32>
  %update = linalg.exp ins(%x : tensor<4x1xf32>) outs(%empty : tensor<4x1xf32>) -> tensor<4x1xf32>
  %0 = tm_tensor.scatter {dimension_map = array<i64: 0>} unique_indices(false) ins(%update, %place : tensor<4x1xf32>, tensor<4x1xi32>) outs(%x : tensor<4x1xf32>) {
  ^bb0(%new: f32, %old: f32):
    tm_tensor.yield %new : f32
  } -> tensor<4x1xf32>
  return %0 : tensor<4x1xf32>
}

// -----

// The seventeenth insertion does not see the sixteenth, nor does anybody else.
// CHECK-LABEL: func.func @main
// CHECK-NEXT:     tensor.empty
// CHECK-COUNT-15: tensor.insert_slice
// CHECK-NEXT:     %[[LAST:.*]] = tensor.insert_slice
// CHECK-NEXT:     %[[CUT:.*]] = "util.optimization_barrier"(%[[LAST]])
// CHECK-NEXT:     tensor.insert_slice %arg0 into %[[CUT]]
func.func @main(%x: tensor<1xf32>) -> tensor<20xf32> {
  %0 = tensor.empty() : tensor<20xf32>
  %1 = tensor.insert_slice %x into %0[0] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %2 = tensor.insert_slice %x into %1[1] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %3 = tensor.insert_slice %x into %2[2] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %4 = tensor.insert_slice %x into %3[3] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %5 = tensor.insert_slice %x into %4[4] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %6 = tensor.insert_slice %x into %5[5] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %7 = tensor.insert_slice %x into %6[6] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %8 = tensor.insert_slice %x into %7[7] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %9 = tensor.insert_slice %x into %8[8] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %10 = tensor.insert_slice %x into %9[9] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %11 = tensor.insert_slice %x into %10[10] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %12 = tensor.insert_slice %x into %11[11] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %13 = tensor.insert_slice %x into %12[12] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %14 = tensor.insert_slice %x into %13[13] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %15 = tensor.insert_slice %x into %14[14] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %16 = tensor.insert_slice %x into %15[15] [1] [1] : tensor<1xf32> into tensor<20xf32>
  %17 = tensor.insert_slice %x into %16[16] [1] [1] : tensor<1xf32> into tensor<20xf32>
  return %17 : tensor<20xf32>
}

// -----

// Of two loops that hand on tensors of unknown sizes, IREE reads the tensors of one for those of the other.
// CHECK-LABEL: func.func @main
// CHECK:         %[[A:.*]] = "util.optimization_barrier"(%arg0)
// CHECK:         %[[FIRST:.*]] = "flow.tensor.tie_shape"(%[[A]]
// CHECK:         scf.for {{.*}} iter_args(%[[X:.*]] = %[[FIRST]])
// CHECK:           %[[B:.*]] = "util.optimization_barrier"(%[[X]])
// CHECK:           %[[NEXT:.*]] = "flow.tensor.tie_shape"(%[[B]]
// CHECK:           scf.yield %[[NEXT]]
// CHECK:         scf.for
func.func @main(%x: tensor<?xf32>, %n: index) -> (tensor<?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = scf.for %i = %c0 to %n step %c1 iter_args(%y = %x) -> (tensor<?xf32>) {
    scf.yield %y : tensor<?xf32>
  }
  %1 = scf.for %i = %c0 to %n step %c1 iter_args(%y = %x) -> (tensor<?xf32>) {
    scf.yield %y : tensor<?xf32>
  }
  return %0, %1 : tensor<?xf32>, tensor<?xf32>
}
