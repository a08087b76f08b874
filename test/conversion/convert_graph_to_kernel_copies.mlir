// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel{generators=copy,permute,elementwise views=true})' --split-input-file %s | FileCheck %s

// What follows a moved axis becomes one with it: places are counted in elements of the rest.
// CHECK-LABEL: func.func private @slice_6x60
// CHECK:         names = ["d0", "e0"]
// CHECK:         "graph.slice"(%arg0) {starts = array<i64: 0, 20>, steps = array<i64: 1, 1>, stops = array<i64: -1, 80>}
// CHECK-LABEL: func.func @slice
func.func @slice(%x: tensor<2x3x5x4x5xf32>) -> tensor<2x3x3x4x5xf32> {
  %0 = "graph.slice"(%x) {starts = array<i64: 0, 0, 1, 0, 0>, stops = array<i64: 2, 3, 4, -1, 5>,
    steps = array<i64: 1, 1, 1, 1, 1>} : (tensor<2x3x5x4x5xf32>) -> tensor<2x3x3x4x5xf32>
  return %0 : tensor<2x3x3x4x5xf32>
}

// -----

// Not what follows a step, nor rows of an unknown length of which there are fewer.
// CHECK-LABEL: func.func private @slice_5x2x5
// CHECK:         names = ["d0", "e0", "f0"]
// CHECK-LABEL: func.func private @slice_dx4xd
// CHECK:         names = ["d0", "e0", "f0"]
// CHECK-LABEL: func.func @apart
// CHECK:         call @slice_dx4xd(%arg1, %{{.*}}, %{{.*}})
// CHECK:         call @slice_5x2x5(%arg0)
func.func @apart(%x: tensor<5x4x5xf32>, %y: tensor<?x5x?xf32>) -> (tensor<?x4x?xf32>, tensor<5x2x5xf32>) {
  %0 = "graph.slice"(%y) {starts = array<i64: 0, 1, 0>, stops = array<i64: -1, 5, -1>, steps = array<i64: 1, 1, 1>}
    : (tensor<?x5x?xf32>) -> tensor<?x4x?xf32>
  %1 = "graph.slice"(%x) {starts = array<i64: 0, 0, 0>, stops = array<i64: -1, -1, -1>, steps = array<i64: 1, 2, 1>}
    : (tensor<5x4x5xf32>) -> tensor<5x2x5xf32>
  return %0, %1 : tensor<?x4x?xf32>, tensor<5x2x5xf32>
}

// -----

// Sizes of a result follow from the operands', or are given; a slice may start behind the end.
// CHECK-LABEL: func.func private @broadcast_4xd
// CHECK:         "graph.broadcast"(%arg0, %arg1) : (tensor<?xi1>, index) -> tensor<4x?xi1>
// CHECK-LABEL: func.func private @slice_2xd
// CHECK-LABEL: func.func private @pad_3xd
// CHECK:         "graph.pad"(%arg0) {high = array<i64: 0, 8>, low = array<i64: 0, 4>
// CHECK-LABEL: func.func private @concat_3xd
// CHECK:         {axis = 1 : i64}
// CHECK-LABEL: func.func @sizes
// CHECK:         arith.addi
// CHECK:         call @concat_3xd
// CHECK:         call @pad_3xd
// CHECK:         arith.minui
// CHECK:         arith.subi
// CHECK:         arith.ceildivui
// CHECK:         call @slice_2xd
// CHECK:         call @broadcast_4xd(%arg2, %arg3)
func.func @sizes(%x: tensor<3x?x4xf32>, %y: tensor<2x?xf32>, %m: tensor<?xi1>, %n: index)
    -> (tensor<3x?x4xf32>, tensor<3x?x4xf32>, tensor<2x?xf32>, tensor<4x?xi1>) {
  %0 = "graph.concat"(%x, %x) {axis = 1 : i64} : (tensor<3x?x4xf32>, tensor<3x?x4xf32>) -> tensor<3x?x4xf32>
  %1 = "graph.pad"(%x) {low = array<i64: 0, 1, 0>, high = array<i64: 0, 2, 0>, value = 0.0 : f32}
    : (tensor<3x?x4xf32>) -> tensor<3x?x4xf32>
  %2 = "graph.slice"(%y) {starts = array<i64: 0, 3>, stops = array<i64: -1, -1>, steps = array<i64: 1, 2>}
    : (tensor<2x?xf32>) -> tensor<2x?xf32>
  %3 = "graph.broadcast"(%m, %n) : (tensor<?xi1>, index) -> tensor<4x?xi1>
  return %0, %1, %2, %3 : tensor<3x?x4xf32>, tensor<3x?x4xf32>, tensor<2x?xf32>, tensor<4x?xi1>
}

// -----

// Left alone: runs of memory, slices on their way to a concat, and what is read by no kernel.
// CHECK-LABEL: func.func @left
// CHECK:         "graph.slice"(%arg0) {{.*}}why = "a run of memory: a view, or written in place"}
// CHECK:         "graph.concat"(%arg0, %arg0) {axis = 0 : i64, why = "a run of memory: a view, or written in place"}
// CHECK:         %[[PART:.*]] = "graph.slice"(%arg0) {{.*}}why = "a part of a concat, moved straight to its place"}
// CHECK:         "graph.concat"(%[[PART]], %arg0) {{.*}}why = "a slice among its parts, which is moved straight to its place"}
// CHECK:         "graph.slice"(%arg0) {{.*}}why = "read by what is no kernel, which may read through it"}
func.func @left(%x: tensor<4x6xf32>)
    -> (tensor<2x6xf32>, tensor<8x6xf32>, tensor<4x8xf32>, tensor<4x1x3xf32>) {
  %0 = "graph.slice"(%x) {starts = array<i64: 1, 0>, stops = array<i64: 3, -1>, steps = array<i64: 1, 1>}
    : (tensor<4x6xf32>) -> tensor<2x6xf32>
  %1 = "graph.concat"(%x, %x) {axis = 0 : i64} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<8x6xf32>
  %2 = "graph.slice"(%x) {starts = array<i64: 0, 4>, stops = array<i64: -1, 6>, steps = array<i64: 1, 1>}
    : (tensor<4x6xf32>) -> tensor<4x2xf32>
  %3 = "graph.concat"(%2, %x) {axis = 1 : i64} : (tensor<4x2xf32>, tensor<4x6xf32>) -> tensor<4x8xf32>
  %4 = "graph.slice"(%x) {starts = array<i64: 0, 0>, stops = array<i64: -1, 3>, steps = array<i64: 1, 1>}
    : (tensor<4x6xf32>) -> tensor<4x3xf32>
  %5 = "graph.pack"(%4) {inner_dims = array<i64: 1>, inner_tiles = array<i64: 3>, outer_permutation = array<i64: 0, 1>}
    : (tensor<4x3xf32>) -> tensor<4x1x3xf32>
  return %0, %1, %3, %5 : tensor<2x6xf32>, tensor<8x6xf32>, tensor<4x8xf32>, tensor<4x1x3xf32>
}

// -----

// Refused: ops after what only moves elements, whose kernels store them as they are.
// CHECK-LABEL: func.func @with_an_epilogue
// CHECK:         {why = "ops beside graph.permute"}
func.func @with_an_epilogue(%x: tensor<4x6xf32>) -> tensor<6x4xf32> {
  %0 = "graph.fusion"() ({
    %1 = "graph.permute"(%x) {permutation = array<i64: 1, 0>} : (tensor<4x6xf32>) -> tensor<6x4xf32>
    %2 = "graph.relu"(%1) : (tensor<6x4xf32>) -> tensor<6x4xf32>
    "graph.yield"(%2) : (tensor<6x4xf32>) -> ()
  }) : () -> tensor<6x4xf32>
  return %0 : tensor<6x4xf32>
}
