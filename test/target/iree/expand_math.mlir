// RUN: terrace-opt --expand-math %s | FileCheck %s

// A window of 2 / pi for any argument; on vectors of a kernel as on scalars of linalg.
// CHECK-LABEL: func.func @sin
// CHECK-NOT:     math.sin
// CHECK:         arith.muli {{.*}} : vector<16xi64>
// CHECK-NOT:     math.sin
func.func @sin(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.sin %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// CHECK-LABEL: func.func @in_linalg
// CHECK:         linalg.generic
// CHECK-NOT:     math.atan2
// CHECK:         arith.divf
// CHECK-NOT:     math.atan2
func.func @in_linalg(%y: tensor<?xf64>, %x: tensor<?xf64>) -> tensor<?xf64> {
  %0 = linalg.generic {
    indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
    iterator_types = ["parallel"]
  } ins(%y : tensor<?xf64>) outs(%x : tensor<?xf64>) {
  ^bb0(%a: f64, %b: f64):
    %1 = math.atan2 %a, %b : f64
    linalg.yield %1 : f64
  } -> tensor<?xf64>
  return %0 : tensor<?xf64>
}

// Half precision is computed in f32, and rounded once.
// CHECK-LABEL: func.func @half
// CHECK:         arith.extf
// CHECK-NOT:     math.log1p
// CHECK:         arith.truncf
// CHECK-NEXT:    return
func.func @half(%x: f16) -> f16 {
  %0 = math.log1p %x : f16
  return %0 : f16
}

// IREE's own are good enough.
// CHECK-LABEL: func.func @others
// CHECK:         math.exp
// CHECK:         math.tanh
func.func @others(%x: f32) -> f32 {
  %0 = math.exp %x : f32
  %1 = math.tanh %0 : f32
  return %1 : f32
}

// IREE's exp of a constant NaN is anything; beside other constants it is left alone.
// CHECK-LABEL: func.func @exp_of_nan
// CHECK:         %[[X:.*]] = arith.mulf
// CHECK-DAG:     %[[EXP:.*]] = math.exp %[[X]]
// CHECK-DAG:     %[[NAN:.*]] = arith.cmpf une, %[[X]], %[[X]]
// CHECK:         arith.select %[[NAN]], %[[X]], %[[EXP]]
func.func @exp_of_nan(%x: vector<4xf32>) -> vector<4xf32> {
  %nan = arith.constant dense<0x7FC00000> : vector<4xf32>
  %0 = arith.mulf %x, %nan : vector<4xf32>
  %1 = math.exp %0 : vector<4xf32>
  return %1 : vector<4xf32>
}

// CHECK-LABEL: func.func @exp
// CHECK-NOT:     arith.select
func.func @exp(%x: vector<4xf32>) -> vector<4xf32> {
  %minus_infinity = arith.constant dense<0xFF800000> : vector<4xf32>
  %0 = arith.addf %x, %minus_infinity : vector<4xf32>
  %1 = math.exp %0 : vector<4xf32>
  return %1 : vector<4xf32>
}
