// RUN: terrace-opt --fold-slices-into-extracts %s | FileCheck %s

// The last of two on the innermost axis, which is then gone, and every second row from the first on.
// CHECK-LABEL: func.func @slice
// CHECK-SAME:    %[[X:.*]]: tensor<7x4x2xf32>, %[[I:.*]]: index, %[[J:.*]]: index
// CHECK:         %[[TWICE:.*]] = arith.muli %[[I]], %{{.*}} : index
// CHECK:         %[[ROW:.*]] = arith.addi %{{.*}}, %[[TWICE]] : index
// CHECK:         tensor.extract %[[X]][%[[ROW]], %{{.*}}, %{{.*}}] : tensor<7x4x2xf32>
func.func @slice(%x: tensor<7x4x2xf32>, %i: index, %j: index) -> f32 {
  %0 = tensor.extract_slice %x[1, 0, 1] [3, 4, 1] [2, 1, 1] : tensor<7x4x2xf32> to tensor<3x4x1xf32>
  %1 = tensor.collapse_shape %0 [[0], [1, 2]] : tensor<3x4x1xf32> into tensor<3x4xf32>
  %2 = tensor.extract %1[%i, %j] : tensor<3x4xf32>
  return %2 : f32
}

// Offsets of the program's.
// CHECK-LABEL: func.func @dynamic
// CHECK-SAME:    %[[X:.*]]: tensor<?xf32>, %[[AT:.*]]: index, %[[N:.*]]: index, %[[I:.*]]: index
// CHECK:         %[[PLACE:.*]] = arith.addi %[[AT]], %{{.*}}
// CHECK:         tensor.extract %[[X]][%[[PLACE]]] : tensor<?xf32>
func.func @dynamic(%x: tensor<?xf32>, %at: index, %n: index, %i: index) -> f32 {
  %0 = tensor.extract_slice %x[%at] [%n] [1] : tensor<?xf32> to tensor<?xf32>
  %1 = tensor.extract %0[%i] : tensor<?xf32>
  return %1 : f32
}

// Axes that became one, and one that was added: the place is taken apart.
// CHECK-LABEL: func.func @reshaped
// CHECK-SAME:    %[[X:.*]]: tensor<7x4x2xf32>, %[[I:.*]]: index
// CHECK:         %[[COLUMN:.*]] = arith.remui %[[I]], %[[FOUR:.*]] : index
// CHECK:         %[[ROW:.*]] = arith.divui %[[I]], %[[FOUR]] : index
// CHECK:         arith.muli %[[ROW]]
// CHECK:         arith.muli %[[COLUMN]]
// CHECK:         tensor.extract %[[X]][%{{.*}}, %{{.*}}, %{{.*}}] : tensor<7x4x2xf32>
func.func @reshaped(%x: tensor<7x4x2xf32>, %i: index) -> f32 {
  %zero = arith.constant 0 : index
  %0 = tensor.extract_slice %x[0, 0, 1] [7, 4, 1] [1, 1, 1] : tensor<7x4x2xf32> to tensor<7x4x1xf32>
  %1 = tensor.collapse_shape %0 [[0, 1, 2]] : tensor<7x4x1xf32> into tensor<28xf32>
  %2 = tensor.expand_shape %1 [[0, 1]] output_shape [1, 28] : tensor<28xf32> into tensor<1x28xf32>
  %3 = tensor.extract %2[%zero, %i] : tensor<1x28xf32>
  return %3 : f32
}

// An axis that was split: the place is put together.
// CHECK-LABEL: func.func @split
// CHECK-SAME:    %[[X:.*]]: tensor<9xf32>, %[[I:.*]]: index, %[[J:.*]]: index
// CHECK:         %[[ROW:.*]] = arith.muli %[[I]], %{{.*}} : index
// CHECK:         arith.addi %[[ROW]], %[[J]] : index
// CHECK:         tensor.extract %[[X]][%{{.*}}] : tensor<9xf32>
func.func @split(%x: tensor<9xf32>, %i: index, %j: index) -> f32 {
  %0 = tensor.extract_slice %x[1] [8] [1] : tensor<9xf32> to tensor<8xf32>
  %1 = tensor.expand_shape %0 [[0, 1]] output_shape [2, 4] : tensor<8xf32> into tensor<2x4xf32>
  %2 = tensor.extract %1[%i, %j] : tensor<2x4xf32>
  return %2 : f32
}

// What is no slice, and one that drops an axis, are left alone.
// CHECK-LABEL: func.func @others
// CHECK:         %[[SLICE:.*]] = tensor.extract_slice
// CHECK:         %[[FLAT:.*]] = tensor.collapse_shape
// CHECK:         tensor.extract %[[FLAT]][%{{.*}}] : tensor<56xf32>
// CHECK:         tensor.extract %[[SLICE]][%{{.*}}, %{{.*}}] : tensor<4x2xf32>
func.func @others(%x: tensor<7x4x2xf32>, %i: index) -> (f32, f32) {
  %0 = tensor.extract_slice %x[1, 0, 0] [1, 4, 2] [1, 1, 1] : tensor<7x4x2xf32> to tensor<4x2xf32>
  %1 = tensor.collapse_shape %x [[0, 1, 2]] : tensor<7x4x2xf32> into tensor<56xf32>
  %2 = tensor.extract %1[%i] : tensor<56xf32>
  %3 = tensor.extract %0[%i, %i] : tensor<4x2xf32>
  return %2, %3 : f32, f32
}
