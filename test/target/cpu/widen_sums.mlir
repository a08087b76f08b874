// RUN: terrace-opt --widen-sums --split-input-file %s | FileCheck %s

// A long sum has an accumulator of f64, and is rounded once.
// CHECK-LABEL: func.func @sum
// CHECK:         linalg.generic {{.*}} ins(%arg0 : tensor<4x1000xf32>) outs(%{{.*}} : tensor<4xf64>)
// CHECK:           %[[WIDE:.*]] = arith.extf %{{.*}} : f32 to f64
// CHECK:           arith.addf %{{.*}} : f64
// CHECK:         linalg.generic {{.*}} ins(%{{.*}} : tensor<4xf64>)
// CHECK:           arith.truncf
func.func @sum(%x: tensor<4x1000xf32>, %zero: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.generic {
    indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
    iterator_types = ["parallel", "reduction"]
  } ins(%x : tensor<4x1000xf32>) outs(%zero : tensor<4xf32>) {
  ^bb0(%a: f32, %total: f32):
    %1 = math.absf %a : f32
    %2 = arith.addf %1, %total : f32
    linalg.yield %2 : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A scan, by sum or product.
// CHECK-LABEL: func.func @scan
// CHECK:         tm_tensor.scan {{.*}} ins(%{{.*}} : tensor<?xf64>) outs(%{{.*}}, %{{.*}} : tensor<?xf64>, tensor<f64>)
// CHECK:           arith.mulf %{{.*}} : f64
// CHECK:         arith.truncf
func.func @scan(%x: tensor<?xf32>, %all: tensor<?xf32>, %last: tensor<f32>) -> tensor<?xf32> {
  %0:2 = tm_tensor.scan dimension(0) inclusive(true) ins(%x : tensor<?xf32>) outs(%all, %last : tensor<?xf32>, tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %1 = arith.mulf %a, %b : f32
    tm_tensor.yield %1 : f32
  } -> tensor<?xf32>, tensor<f32>
  return %0#0 : tensor<?xf32>
}

// -----

// Short sums, maxima and contractions stay.
// CHECK-LABEL: func.func @others
// CHECK-NOT:     f64
func.func @others(%x: tensor<4x64xf32>, %y: tensor<1000x64xf32>, %long: tensor<4x1000xf32>, %zero: tensor<4xf32>,
                  %product: tensor<4x1000xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4x1000xf32>) {
  %0 = linalg.generic {
    indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
    iterator_types = ["parallel", "reduction"]
  } ins(%x : tensor<4x64xf32>) outs(%zero : tensor<4xf32>) {
  ^bb0(%a: f32, %total: f32):
    %3 = arith.addf %a, %total : f32
    linalg.yield %3 : f32
  } -> tensor<4xf32>
  %1 = linalg.generic {
    indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
    iterator_types = ["parallel", "reduction"]
  } ins(%long : tensor<4x1000xf32>) outs(%zero : tensor<4xf32>) {
  ^bb0(%a: f32, %total: f32):
    %3 = arith.maximumf %a, %total : f32
    linalg.yield %3 : f32
  } -> tensor<4xf32>
  %2 = linalg.generic {
    indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>,
                     affine_map<(d0, d1, d2) -> (d0, d1)>],
    iterator_types = ["parallel", "parallel", "reduction"]
  } ins(%x, %y : tensor<4x64xf32>, tensor<1000x64xf32>) outs(%product : tensor<4x1000xf32>) {
  ^bb0(%a: f32, %b: f32, %total: f32):
    %3 = arith.mulf %a, %b : f32
    %4 = arith.addf %total, %3 : f32
    linalg.yield %4 : f32
  } -> tensor<4x1000xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4x1000xf32>
}
