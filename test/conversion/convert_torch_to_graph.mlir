// RUN: terrace-opt --convert-torch-to-graph --canonicalize --split-input-file %s | filecheck %s

// The weight keeps its layout, the bias is an addition of its own.
// CHECK-LABEL: func.func @linear
// CHECK:         %[[PRODUCT:.*]] = "graph.matmul"({{.*}}) {transpose_rhs = true} : (tensor<?x4xf32>, tensor<8x4xf32>) -> tensor<?x8xf32>
// CHECK:         "graph.add"(%[[PRODUCT]], {{.*}}) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
func.func @linear(%x: !torch.vtensor<[?,4],f32>, %w: !torch.vtensor<[8,4],f32>, %b: !torch.vtensor<[8],f32>)
    -> !torch.vtensor<[?,8],f32> {
  %0 = torch.aten.linear %x, %w, %b : !torch.vtensor<[?,4],f32>, !torch.vtensor<[8,4],f32>, !torch.vtensor<[8],f32>
      -> !torch.vtensor<[?,8],f32>
  return %0 : !torch.vtensor<[?,8],f32>
}

// -----

// A 1-D convolution is a 2-D one of height 1.
// CHECK-LABEL: func.func @conv1d
// CHECK:         "graph.conv2d"({{.*}}) {{{.*}}padding = array<i64: 0, 0, 1, 1>, strides = array<i64: 1, 2>} : (tensor<2x3x1x9xf32>, tensor<4x3x1x3xf32>) -> tensor<2x4x1x5xf32>
// CHECK-NEXT:    "graph.reshape"({{.*}}) : (tensor<2x4x1x5xf32>) -> tensor<2x4x5xf32>
func.func @conv1d(%x: !torch.vtensor<[2,3,9],f32>, %w: !torch.vtensor<[4,3,3],f32>) -> !torch.vtensor<[2,4,5],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %ones = torch.prim.ListConstruct %one : (!torch.int) -> !torch.list<int>
  %twos = torch.prim.ListConstruct %two : (!torch.int) -> !torch.list<int>
  %empty = torch.prim.ListConstruct : () -> !torch.list<int>
  %0 = torch.aten.convolution %x, %w, %none, %twos, %ones, %ones, %false, %empty, %one
      : !torch.vtensor<[2,3,9],f32>, !torch.vtensor<[4,3,3],f32>, !torch.none, !torch.list<int>, !torch.list<int>,
        !torch.list<int>, !torch.bool, !torch.list<int>, !torch.int -> !torch.vtensor<[2,4,5],f32>
  return %0 : !torch.vtensor<[2,4,5],f32>
}

// -----

// Integers meet floats in the type of the result; the scalar is a constant of rank 0, scaled by alpha.
// CHECK-LABEL: func.func @promotion
// CHECK-DAG:     %[[TWO:.*]] = arith.constant dense<2.000000e+00> : tensor<f32>
// CHECK-DAG:     %[[CAST:.*]] = "graph.cast"({{.*}}) : (tensor<4xi64>) -> tensor<4xf32>
// CHECK:         %[[SCALED:.*]] = "graph.mul"({{.*}}, %[[TWO]])
// CHECK-NEXT:    "graph.add"(%[[CAST]], %[[SCALED]]) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
func.func @promotion(%x: !torch.vtensor<[4],si64>, %y: !torch.vtensor<[4],f32>) -> !torch.vtensor<[4],f32> {
  %two = torch.constant.int 2
  %0 = torch.aten.add.Tensor %x, %y, %two : !torch.vtensor<[4],si64>, !torch.vtensor<[4],f32>, !torch.int
      -> !torch.vtensor<[4],f32>
  return %0 : !torch.vtensor<[4],f32>
}

// -----

// Truth values become an additive mask. A row that the mask excludes wholly is zero, where a softmax has NaN.
// CHECK-LABEL: func.func @attention
// CHECK-DAG:     %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : tensor<f32>
// CHECK-DAG:     %[[LOWEST:.*]] = arith.constant dense<0xFF800000> : tensor<f32>
// CHECK:         %[[MASK:.*]] = "graph.select"({{.*}}, %[[ZERO]], %[[LOWEST]]) : (tensor<5x5xi1>, tensor<f32>, tensor<f32>) -> tensor<5x5xf32>
// CHECK-NEXT:    %[[RESULT:.*]] = "graph.attention"({{.*}}, %[[MASK]]) {is_causal = false, scale = 5.000000e-01 : f64}
// CHECK-NEXT:    %[[LARGEST:.*]] = "graph.reduce"(%[[MASK]]) {axes = array<i64: 1>, keepdims = true, kind = "max"}
// CHECK-NEXT:    %[[VISIBLE:.*]] = "graph.compare"(%[[LARGEST]], %[[LOWEST]]) {predicate = "ne"}
// CHECK-NEXT:    "graph.select"(%[[VISIBLE]], %[[RESULT]], %[[ZERO]])
func.func @attention(%q: !torch.vtensor<[2,3,5,4],f32>, %mask: !torch.vtensor<[5,5],i1>) -> !torch.vtensor<[2,3,5,4],f32> {
  %none = torch.constant.none
  %false = torch.constant.bool false
  %zero = torch.constant.float 0.0
  %0 = torch.aten.scaled_dot_product_attention %q, %q, %q, %mask, %zero, %false, %none, %false
      : !torch.vtensor<[2,3,5,4],f32>, !torch.vtensor<[2,3,5,4],f32>, !torch.vtensor<[2,3,5,4],f32>,
        !torch.vtensor<[5,5],i1>, !torch.float, !torch.bool, !torch.none, !torch.bool -> !torch.vtensor<[2,3,5,4],f32>
  return %0 : !torch.vtensor<[2,3,5,4],f32>
}

// -----

// A view to -1 divides the element count by the other sizes.
// CHECK-LABEL: func.func @view
// CHECK:         %[[SIZE:.*]] = arith.divui
// CHECK:         "graph.reshape"({{.*}}, %[[SIZE]]) : (tensor<?x4xf32>, index) -> tensor<2x?xf32>
func.func @view(%x: !torch.vtensor<[?,4],f32>) -> !torch.vtensor<[2,?],f32> {
  %two = torch.constant.int 2
  %rest = torch.constant.int -1
  %sizes = torch.prim.ListConstruct %two, %rest : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.view %x, %sizes : !torch.vtensor<[?,4],f32>, !torch.list<int> -> !torch.vtensor<[2,?],f32>
  return %0 : !torch.vtensor<[2,?],f32>
}

// -----

// Comparisons of unsigned integers are left: graph ops on i8 would read them as signed. So is what graph has no op for.
// CHECK-LABEL: func.func @left
// CHECK:         torch.aten.gt.Tensor
// CHECK:         torch.aten.atan
// CHECK-NOT:     graph.
func.func @left(%x: !torch.vtensor<[4],ui8>, %y: !torch.vtensor<[4],f32>) -> (!torch.vtensor<[4],i1>, !torch.vtensor<[4],f32>) {
  %0 = torch.aten.gt.Tensor %x, %x : !torch.vtensor<[4],ui8>, !torch.vtensor<[4],ui8> -> !torch.vtensor<[4],i1>
  %1 = torch.aten.atan %y : !torch.vtensor<[4],f32> -> !torch.vtensor<[4],f32>
  return %0, %1 : !torch.vtensor<[4],i1>, !torch.vtensor<[4],f32>
}

// -----

// Sums of unsigned integers have the bits of signed ones; casts know the sign.
// CHECK-LABEL: func.func @unsigned
// CHECK-SAME:    %[[X:.*]]: !torch.vtensor<[4],ui8>
// CHECK:         %[[SUM:.*]] = "graph.add"({{.*}}) : (tensor<4xi8>, tensor<4xi8>) -> tensor<4xi8>
// CHECK:         %[[WIDE:.*]] = "graph.cast"(%[[SUM]]) : (tensor<4xi8>) -> tensor<4xi32>
// CHECK:         %[[NUMBER:.*]] = "graph.bitwise_and"(%[[WIDE]], %{{.*}}) : (tensor<4xi32>, tensor<i32>) -> tensor<4xi32>
// CHECK:         "graph.cast"(%[[NUMBER]]) : (tensor<4xi32>) -> tensor<4xf32>
func.func @unsigned(%x: !torch.vtensor<[4],ui8>) -> !torch.vtensor<[4],f32> {
  %f32 = torch.constant.int 6
  %one = torch.constant.int 1
  %0 = torch.aten.add.Tensor %x, %x, %one : !torch.vtensor<[4],ui8>, !torch.vtensor<[4],ui8>, !torch.int -> !torch.vtensor<[4],ui8>
  %1 = torch.prims.convert_element_type %0, %f32 : !torch.vtensor<[4],ui8>, !torch.int -> !torch.vtensor<[4],f32>
  return %1 : !torch.vtensor<[4],f32>
}

// -----

// CHECK-LABEL: func.func @cut_and_pad
// CHECK:         %[[CUT:.*]] = "graph.slice"({{.*}}) {starts = array<i64: 1>, steps = array<i64: 1>, stops = array<i64: 4>} : (tensor<4xf32>) -> tensor<3xf32>
// CHECK-NEXT:    "graph.pad"(%[[CUT]]) {high = array<i64: 2>, low = array<i64: 0>, value = 0.000000e+00 : f64} : (tensor<3xf32>) -> tensor<5xf32>
func.func @cut_and_pad(%x: !torch.vtensor<[4],f32>) -> !torch.vtensor<[5],f32> {
  %low = torch.constant.int -1
  %high = torch.constant.int 2
  %zero = torch.constant.float 0.0
  %amounts = torch.prim.ListConstruct %low, %high : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.aten.constant_pad_nd %x, %amounts, %zero : !torch.vtensor<[4],f32>, !torch.list<int>, !torch.float
      -> !torch.vtensor<[5],f32>
  return %0 : !torch.vtensor<[5],f32>
}

// -----

// A pool of one image is that of a batch of one.
// CHECK-LABEL: func.func @pool_of_one_image
// CHECK:         %[[BATCH:.*]] = "graph.reshape"({{.*}}) : (tensor<2x?x4xf32>, index) -> tensor<1x2x?x4xf32>
// CHECK-NEXT:    "graph.max_pool2d"(%[[BATCH]])
// CHECK:         "graph.reshape"({{.*}}) : (tensor<1x2x?x2xf32>, index) -> tensor<2x?x2xf32>
func.func @pool_of_one_image(%x: !torch.vtensor<[2,?,4],f32>) -> !torch.vtensor<[2,?,2],f32> {
  %false = torch.constant.bool false
  %zero = torch.constant.int 0
  %one = torch.constant.int 1
  %two = torch.constant.int 2
  %zeros = torch.prim.ListConstruct %zero : (!torch.int) -> !torch.list<int>
  %ones = torch.prim.ListConstruct %one : (!torch.int) -> !torch.list<int>
  %twos = torch.prim.ListConstruct %two : (!torch.int) -> !torch.list<int>
  %0 = torch.aten.max_pool2d %x, %twos, %twos, %zeros, %ones, %false
      : !torch.vtensor<[2,?,4],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.bool
      -> !torch.vtensor<[2,?,2],f32>
  return %0 : !torch.vtensor<[2,?,2],f32>
}

// -----

// Powers of integers are products.
// CHECK-LABEL: func.func @powers_of_integers
// CHECK:         "graph.mul"(%[[X:.*]], %[[X]]) : (tensor<4xi8>, tensor<4xi8>) -> tensor<4xi8>
// CHECK-NOT:     torch.aten.pow
// CHECK:         "graph.mul"
// CHECK-NOT:     torch.aten.pow
func.func @powers_of_integers(%x: !torch.vtensor<[4],si8>) -> (!torch.vtensor<[4],si8>, !torch.vtensor<[4],si8>) {
  %two = torch.constant.int 2
  %five = torch.constant.int 5
  %0 = torch.aten.pow.Tensor_Scalar %x, %two : !torch.vtensor<[4],si8>, !torch.int -> !torch.vtensor<[4],si8>
  %1 = torch.aten.pow.Tensor_Scalar %x, %five : !torch.vtensor<[4],si8>, !torch.int -> !torch.vtensor<[4],si8>
  return %0, %1 : !torch.vtensor<[4],si8>, !torch.vtensor<[4],si8>
}

// -----

// torchao's int4, a code in each byte: two go into one, and groups of 32 have scales and zero points.
// CHECK-LABEL: func.func @groups
// CHECK-DAG:     %[[Z:.*]] = "graph.cast"(%{{.*}}) : (tensor<4x2xi8>) -> tensor<4x2xf32>
// CHECK-DAG:     %[[LOW:.*]] = "graph.slice"(%[[C:.*]]) {starts = array<i64: 0, 0>, steps = array<i64: 1, 2>, stops = array<i64: 4, 64>}
// CHECK-DAG:     %[[HIGH:.*]] = "graph.slice"(%[[C]]) {starts = array<i64: 0, 1>, steps = array<i64: 1, 2>, stops = array<i64: 4, 64>}
// CHECK:         %[[UPPER:.*]] = "graph.shift_left"(%[[HIGH]]
// CHECK:         %[[BYTES:.*]] = "graph.add"(%[[UPPER]], %{{.*}}) : (tensor<4x32xi8>, tensor<4x32xi8>) -> tensor<4x32xi8>
// CHECK:         "graph.decode"(%[[BYTES]], %{{.*}}, %[[Z]]) {encoding = {int4_groups = {axis = 1 : i64, group = 32 : i64, zero_points = 1 : i64}}, {{.*}} -> tensor<4x64xf32>
func.func @groups(%c: !torch.vtensor<[4,64],si8>, %s: !torch.vtensor<[4,2],f32>, %z: !torch.vtensor<[4,2],si8>) -> !torch.vtensor<[4,64],f32> {
  %one = torch.constant.int 1
  %group = torch.constant.int 32
  %low = torch.constant.int -8
  %high = torch.constant.int 7
  %float = torch.constant.int 6
  %block = torch.prim.ListConstruct %one, %group : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.operator "torch.torchao.dequantize_affine"(%c, %block, %s, %z, %one, %low, %high, %float)
    : (!torch.vtensor<[4,64],si8>, !torch.list<int>, !torch.vtensor<[4,2],f32>, !torch.vtensor<[4,2],si8>, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.vtensor<[4,64],f32>
  return %0 : !torch.vtensor<[4,64],f32>
}

// -----

// Blocks of rows have no encoding: the definition, in f32.
// CHECK-LABEL: func.func @blocks
// CHECK:         "graph.reshape"(%{{.*}}) : (tensor<4x64xi8>) -> tensor<2x2x1x64xi8>
// CHECK:         %[[SCALE:.*]] = "graph.reshape"(%{{.*}}) : (tensor<2x1xf32>) -> tensor<2x1x1x1xf32>
// CHECK:         "graph.mul"(%{{.*}}, %[[SCALE]])
// CHECK-NOT:     graph.decode
func.func @blocks(%c: !torch.vtensor<[4,64],si8>, %s: !torch.vtensor<[2,1],f32>) -> !torch.vtensor<[4,64],f32> {
  %one = torch.constant.int 1
  %rows = torch.constant.int 2
  %columns = torch.constant.int 64
  %none = torch.constant.none
  %float = torch.constant.int 6
  %block = torch.prim.ListConstruct %rows, %columns : (!torch.int, !torch.int) -> !torch.list<int>
  %0 = torch.operator "torch.torchao.dequantize_affine"(%c, %block, %s, %none, %one, %none, %none, %float)
    : (!torch.vtensor<[4,64],si8>, !torch.list<int>, !torch.vtensor<[2,1],f32>, !torch.none, !torch.int, !torch.none, !torch.none, !torch.int) -> !torch.vtensor<[4,64],f32>
  return %0 : !torch.vtensor<[4,64],f32>
}

// -----

// Torch reads the first elements only where the indices have the size 1. That is left where it is not known whether
// there are more: our op would read all.
// CHECK-LABEL: func.func @gathers
// CHECK:         %[[ONE:.*]] = "graph.slice"(%{{.*}}) {starts = array<i64: 0, 0>, steps = array<i64: 1, 1>, stops = array<i64: 1, -1>} : (tensor<4x6xf32>) -> tensor<1x6xf32>
// CHECK:         "graph.gather"(%[[ONE]], %{{.*}}) {axis = 1 : i64} : (tensor<1x6xf32>, tensor<1x3xi64>) -> tensor<1x3xf32>
// CHECK:         torch.aten.gather
func.func @gathers(%x: !torch.vtensor<[4,6],f32>, %y: !torch.vtensor<[?,6],f32>, %i: !torch.vtensor<[1,3],si64>)
    -> (!torch.vtensor<[1,3],f32>, !torch.vtensor<[1,3],f32>) {
  %one = torch.constant.int 1
  %false = torch.constant.bool false
  %0 = torch.aten.gather %x, %one, %i, %false : !torch.vtensor<[4,6],f32>, !torch.int, !torch.vtensor<[1,3],si64>, !torch.bool -> !torch.vtensor<[1,3],f32>
  %1 = torch.aten.gather %y, %one, %i, %false : !torch.vtensor<[?,6],f32>, !torch.int, !torch.vtensor<[1,3],si64>, !torch.bool -> !torch.vtensor<[1,3],f32>
  return %0, %1 : !torch.vtensor<[1,3],f32>, !torch.vtensor<[1,3],f32>
}

// -----

// Truth values are added up as what the result holds.
// CHECK-LABEL: func.func @cumsum
// CHECK:         %[[NUMBERS:.*]] = "graph.cast"(%{{.*}}) : (tensor<4x6xi1>) -> tensor<4x6xi64>
// CHECK:         "graph.scan"(%[[NUMBERS]]) {axis = 1 : i64, kind = "sum"} : (tensor<4x6xi64>) -> tensor<4x6xi64>
func.func @cumsum(%x: !torch.vtensor<[4,6],i1>) -> !torch.vtensor<[4,6],si64> {
  %last = torch.constant.int -1
  %none = torch.constant.none
  %0 = torch.aten.cumsum %x, %last, %none : !torch.vtensor<[4,6],i1>, !torch.int, !torch.none -> !torch.vtensor<[4,6],si64>
  return %0 : !torch.vtensor<[4,6],si64>
}
