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

// A value with a second user outside is given, too.
// CHECK-LABEL: func.func @escapes
// CHECK-NEXT:    %[[BOTH:.*]]:2 = "graph.fusion"() ({
// CHECK-NEXT:      %[[SIN:.*]] = "graph.sin"(%arg0)
// CHECK-NEXT:      %[[EXP:.*]] = "graph.exp"(%[[SIN]])
// CHECK-NEXT:      %[[COS:.*]] = "graph.cos"(%[[EXP]])
// CHECK-NEXT:      %[[SUM:.*]] = "graph.add"(%[[COS]], %[[EXP]])
// CHECK-NEXT:      "graph.yield"(%[[EXP]], %[[SUM]])
// CHECK:         return %[[BOTH]]#0, %[[BOTH]]#1
func.func @escapes(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %0 = "graph.sin"(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.exp"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %2 = "graph.cos"(%1) : (tensor<2xf32>) -> tensor<2xf32>
  %3 = "graph.add"(%2, %1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %1, %3 : tensor<2xf32>, tensor<2xf32>
}

// -----

// Left alone: single ops, a result that no kernel stores, what already is in a group, what is computed ahead.
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
// CHECK-NEXT:    graph.cast
// CHECK-NEXT:    return
"graph.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()
func.func @alone(%x: tensor<2xf32>) -> tensor<2xf8E5M2> {
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
  %5 = "graph.cast"(%4) : (tensor<2xf32>) -> tensor<2xf8E5M2>
  return %5 : tensor<2xf8E5M2>
}

// -----

// A kernel reads 24 tensors at most: the first addition is left to another.
// CHECK-LABEL: func.func @many
// CHECK-NEXT:    %[[FIRST:.*]] = "graph.add"(%arg0, %arg1)
// CHECK-NEXT:    "graph.fusion"() ({
// CHECK-NEXT:      "graph.add"(%[[FIRST]], %arg2)
// CHECK-COUNT-22:  graph.add
// CHECK-NEXT:      graph.yield
func.func @many(%arg0: tensor<2xf32>, %arg1: tensor<2xf32>, %arg2: tensor<2xf32>, %arg3: tensor<2xf32>, %arg4: tensor<2xf32>, %arg5: tensor<2xf32>, %arg6: tensor<2xf32>, %arg7: tensor<2xf32>, %arg8: tensor<2xf32>, %arg9: tensor<2xf32>, %arg10: tensor<2xf32>, %arg11: tensor<2xf32>, %arg12: tensor<2xf32>, %arg13: tensor<2xf32>, %arg14: tensor<2xf32>, %arg15: tensor<2xf32>, %arg16: tensor<2xf32>, %arg17: tensor<2xf32>, %arg18: tensor<2xf32>, %arg19: tensor<2xf32>, %arg20: tensor<2xf32>, %arg21: tensor<2xf32>, %arg22: tensor<2xf32>, %arg23: tensor<2xf32>, %arg24: tensor<2xf32>) -> tensor<2xf32> {
  %1 = "graph.add"(%arg0, %arg1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %2 = "graph.add"(%1, %arg2) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %3 = "graph.add"(%2, %arg3) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %4 = "graph.add"(%3, %arg4) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %5 = "graph.add"(%4, %arg5) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %6 = "graph.add"(%5, %arg6) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %7 = "graph.add"(%6, %arg7) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %8 = "graph.add"(%7, %arg8) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %9 = "graph.add"(%8, %arg9) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %10 = "graph.add"(%9, %arg10) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %11 = "graph.add"(%10, %arg11) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %12 = "graph.add"(%11, %arg12) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %13 = "graph.add"(%12, %arg13) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %14 = "graph.add"(%13, %arg14) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %15 = "graph.add"(%14, %arg15) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %16 = "graph.add"(%15, %arg16) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %17 = "graph.add"(%16, %arg17) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %18 = "graph.add"(%17, %arg18) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %19 = "graph.add"(%18, %arg19) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %20 = "graph.add"(%19, %arg20) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %21 = "graph.add"(%20, %arg21) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %22 = "graph.add"(%21, %arg22) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %23 = "graph.add"(%22, %arg23) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %24 = "graph.add"(%23, %arg24) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %24 : tensor<2xf32>
}

// -----

// What uses a value joins with what it reads, before the op outside that reads a result.
// CHECK-LABEL: func.func @users
// CHECK-NEXT:    %[[ALL:.*]]:3 = "graph.fusion"() ({
// CHECK-NEXT:      %[[SUM:.*]] = "graph.add"(%arg0, %arg1)
// CHECK-NEXT:      %[[SIN:.*]] = "graph.sin"(%arg1)
// CHECK-NEXT:      %[[EXP:.*]] = "graph.exp"(%[[SUM]])
// CHECK-NEXT:      %[[MUL:.*]] = "graph.mul"(%[[SUM]], %[[SIN]])
// CHECK-NEXT:      %[[COS:.*]] = "graph.cos"(%[[SUM]])
// CHECK-NEXT:      "graph.yield"(%[[EXP]], %[[MUL]], %[[COS]])
// CHECK:         "graph.softmax"(%[[ALL]]#0)
func.func @users(%x: tensor<2xf32>, %y: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
  %0 = "graph.add"(%x, %y) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %3 = "graph.sin"(%y) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.exp"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %2 = "graph.softmax"(%1) {axis = 0 : i64} : (tensor<2xf32>) -> tensor<2xf32>
  %4 = "graph.mul"(%0, %3) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %5 = "graph.cos"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %2, %4, %5 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
}

// -----

// The last sum needs what an op outside computes of the exponential: two kernels.
// CHECK-LABEL: func.func @cycle
// CHECK-NEXT:    %[[EXP:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      graph.sin
// CHECK-NEXT:      graph.exp
// CHECK-NEXT:      graph.yield
// CHECK:         %[[SOFTMAX:.*]] = "graph.softmax"(%[[EXP]])
// CHECK-NEXT:    "graph.fusion"() ({
// CHECK-NEXT:      %[[SUM:.*]] = "graph.add"(%[[SOFTMAX]], %[[EXP]])
// CHECK-NEXT:      "graph.neg"(%[[SUM]])
// CHECK-NEXT:      graph.yield
func.func @cycle(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = "graph.sin"(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.exp"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %2 = "graph.softmax"(%1) {axis = 0 : i64} : (tensor<2xf32>) -> tensor<2xf32>
  %3 = "graph.add"(%2, %1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %4 = "graph.neg"(%3) : (tensor<2xf32>) -> tensor<2xf32>
  return %4 : tensor<2xf32>
}

// -----

// A comparison is stored like other results. No kernel stores float8: what computes it stays outside.
// CHECK-LABEL: func.func @not_stored
// CHECK-NEXT:    "graph.fusion"() ({
// CHECK-NEXT:      %[[SUM:.*]] = "graph.add"(%arg0, %arg1)
// CHECK-NEXT:      %[[LESS:.*]] = "graph.compare"(%[[SUM]], %arg0)
// CHECK-NEXT:      %[[CHOSEN:.*]] = "graph.select"(%[[LESS]], %[[SUM]], %arg1)
// CHECK-NEXT:      %[[GIVEN:.*]] = builtin.unrealized_conversion_cast %[[SUM]], %[[LESS]], %[[CHOSEN]]
// CHECK-NEXT:      "graph.yield"(%[[GIVEN]])
// CHECK:         %[[NARROW:.*]] = "graph.cast"
// CHECK-NEXT:    "graph.neg"(%[[NARROW]])
func.func @not_stored(%x: tensor<2xf32>, %y: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf8E5M2>, tensor<2xi1>) {
  %0 = "graph.add"(%x, %y) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.compare"(%0, %x) {predicate = "lt"} : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>
  %2 = "graph.cast"(%0) : (tensor<2xf32>) -> tensor<2xf8E5M2>
  %3 = "graph.neg"(%2) : (tensor<2xf8E5M2>) -> tensor<2xf8E5M2>
  %4 = "graph.select"(%1, %0, %y) : (tensor<2xi1>, tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %4, %3, %1 : tensor<2xf32>, tensor<2xf8E5M2>, tensor<2xi1>
}

// -----

// Types may differ; the sum, which is of no use outside, is not given.
// CHECK-LABEL: func.func @types
// CHECK-NEXT:    %[[TUPLE:.*]] = "graph.fusion"() ({
// CHECK-NEXT:      graph.add
// CHECK-NEXT:      %[[HALF:.*]] = "graph.cast"
// CHECK-NEXT:      %[[EXP:.*]] = "graph.exp"
// CHECK-NEXT:      %[[GIVEN:.*]] = builtin.unrealized_conversion_cast %[[HALF]], %[[EXP]]
// CHECK-NEXT:      "graph.yield"(%[[GIVEN]])
// CHECK-NEXT:    }) : () -> tuple<tensor<2xbf16>, tensor<2xf32>>
// CHECK-NEXT:    %[[BOTH:.*]]:2 = builtin.unrealized_conversion_cast %[[TUPLE]]
// CHECK-NEXT:    return %[[BOTH]]#0, %[[BOTH]]#1
func.func @types(%x: tensor<2xf32>, %y: tensor<2xf32>) -> (tensor<2xbf16>, tensor<2xf32>) {
  %0 = "graph.add"(%x, %y) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.cast"(%0) : (tensor<2xf32>) -> tensor<2xbf16>
  %2 = "graph.exp"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %1, %2 : tensor<2xbf16>, tensor<2xf32>
}

// -----

// Rows of 7 fill no vector: what broadcasts along them and what is one run of memory remain two kernels.
// CHECK-LABEL: func.func @short_rows
// CHECK-NOT:     graph.fusion
// CHECK:         return
func.func @short_rows(%x: tensor<5x7xf32>, %y: tensor<5x1xf32>) -> (tensor<5x7xf32>, tensor<5x7xf32>) {
  %0 = "graph.sub"(%x, %y) : (tensor<5x7xf32>, tensor<5x1xf32>) -> tensor<5x7xf32>
  %1 = "graph.exp"(%0) : (tensor<5x7xf32>) -> tensor<5x7xf32>
  return %0, %1 : tensor<5x7xf32>, tensor<5x7xf32>
}

// -----

// A kernel reads and gives 25 tensors at most: of 26 uses of the exponential, 23 join, and it is given for the others.
// CHECK-LABEL: func.func @many_results
// CHECK-NEXT:    %[[FUSED:.*]]:24 = "graph.fusion"() ({
// CHECK-NEXT:      graph.exp
// CHECK-COUNT-23:  {{graph.neg|graph.abs}}
// CHECK-NEXT:      graph.yield
// CHECK:         (%[[FUSED]]#0)
// CHECK-NEXT:    (%[[FUSED]]#0)
// CHECK-NEXT:    (%[[FUSED]]#0)
// CHECK-NEXT:    return
func.func @many_results(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
  %0 = "graph.exp"(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %2 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %3 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %4 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %5 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %6 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %7 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %8 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %9 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %10 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %11 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %12 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %13 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %14 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %15 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %16 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %17 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %18 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %19 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %20 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %21 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %22 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %23 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %24 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %25 = "graph.abs"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  %26 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
}
