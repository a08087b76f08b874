// RUN: terrace-opt --fuse-elementwise --split-input-file %s | filecheck %s

// All branches that end in one op join it, in program order; a smaller operand comes from outside.
// CHECK-LABEL: func.func @branches
// CHECK-NEXT:    %[[SMALL:.*]] = "graph.exp"(%arg1)
// CHECK-NEXT:    %[[FUSED:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      %[[SIN:.*]] = "graph.sin"(%arg0)
// CHECK-NEXT:      %[[COS:.*]] = "graph.cos"(%arg0)
// CHECK-NEXT:      %[[SUM:.*]] = "graph.add"(%[[SIN]], %[[COS]])
// CHECK-NEXT:      %[[RESULT:.*]] = "graph.mul"(%[[SUM]], %[[SMALL]])
// CHECK-NEXT:      "graph.yield"(%[[RESULT]])
// CHECK-NEXT:    })
// CHECK-NEXT:    return %[[FUSED]]
func.func @branches(%x: tensor<?x4xf32>, %y: tensor<4xf32>) -> tensor<?x4xf32> {
  %0 = "graph.sin"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %1 = "graph.exp"(%y) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = "graph.cos"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %3 = "graph.add"(%0, %2) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %4 = "graph.mul"(%3, %1) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %4 : tensor<?x4xf32>
}

// -----

// A value with a second user outside is stored, and so ends a group of its own.
// CHECK-LABEL: func.func @escapes
// CHECK-NEXT:    %[[FIRST:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      graph.sin
// CHECK-NEXT:      graph.exp
// CHECK-NEXT:      graph.yield
// CHECK:         %[[SECOND:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      "graph.cos"(%[[FIRST]])
// CHECK-NEXT:      graph.add
// CHECK-NEXT:      graph.yield
// CHECK:         return %[[FIRST]], %[[SECOND]]
func.func @escapes(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %0 = "graph.sin"(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.exp"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %2 = "graph.cos"(%1) : (tensor<2xf32>) -> tensor<2xf32>
  %3 = "graph.add"(%2, %1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %1, %3 : tensor<2xf32>, tensor<2xf32>
}

// -----

// Left alone: single ops, a comparison as the result, what already is in a group, what is computed ahead.
// CHECK-LABEL: func.func @alone
// CHECK-NEXT:    "graph.load"
// CHECK-NEXT:    %[[W:.*]] = "graph.exp"
// CHECK-NEXT:    %[[W2:.*]] = "graph.sin"(%[[W]])
// CHECK-NEXT:    "graph.fusion"() ({
// CHECK-NEXT:      graph.sin
// CHECK-NEXT:      graph.cos
// CHECK-NEXT:      graph.yield
// CHECK-NEXT:    })
// CHECK-NEXT:    graph.softmax
// CHECK-NEXT:    "graph.add"(%{{.*}}, %[[W2]])
// CHECK-NEXT:    graph.compare
// CHECK-NEXT:    return
"graph.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()
func.func @alone(%x: tensor<2xf32>) -> tensor<2xi1> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<2xf32>
  %w1 = "graph.exp"(%w) : (tensor<2xf32>) -> tensor<2xf32>
  %w2 = "graph.sin"(%w1) : (tensor<2xf32>) -> tensor<2xf32>
  %0 = "graph.fusion"() ({
    %1 = "graph.sin"(%x) : (tensor<2xf32>) -> tensor<2xf32>
    %2 = "graph.cos"(%1) : (tensor<2xf32>) -> tensor<2xf32>
    "graph.yield"(%2) : (tensor<2xf32>) -> ()
  }) : () -> tensor<2xf32>
  %3 = "graph.softmax"(%0) {axis = 0 : i64} : (tensor<2xf32>) -> tensor<2xf32>
  %4 = "graph.add"(%3, %w2) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %5 = "graph.compare"(%4, %x) {predicate = "lt"} : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>
  return %5 : tensor<2xi1>
}
