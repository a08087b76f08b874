// RUN: terrace-opt --unroll-loops --canonicalize --cse %s | filecheck %s

func.func private @step(tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>

// 16 steps a turn where they are few enough; what is left of 67 follows, one after the other.
// CHECK-LABEL: func.func @known
// CHECK:         %[[TURNS:.*]] = scf.for %[[I:.*]] = %c0 to %c64 step %c16 iter_args(%[[S:.*]] = %arg0) -> (tensor<4xf32>) {
// CHECK:           tensor.extract_slice %arg1[%[[I]], 0]
// CHECK:           func.call @step(%[[S]],
// CHECK-COUNT-15:  func.call @step
// CHECK-NOT:       call @step
// CHECK:         }
// CHECK:         tensor.extract_slice %arg1[64, 0]
// CHECK:         call @step(%[[TURNS]],
// CHECK-COUNT-2: call @step
// CHECK-NOT:     call @step
func.func @known(%state: tensor<4xf32>, %rows: tensor<67x4xf32>) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c67 = arith.constant 67 : index
  %0 = scf.for %i = %c0 to %c67 step %c1 iter_args(%s = %state) -> (tensor<4xf32>) {
    %row = tensor.extract_slice %rows[%i, 0] [1, 4] [1, 1] : tensor<67x4xf32> to tensor<4xf32>
    %1 = func.call @step(%s, %row) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    scf.yield %1 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// Nobody knows how many are left: a second loop.
// CHECK-LABEL: func.func @unknown
// CHECK:         %[[REST:.*]] = arith.remui %arg2, %c16
// CHECK:         %[[WHOLE:.*]] = arith.subi %arg2, %[[REST]]
// CHECK:         %[[TURNS:.*]] = scf.for %{{.*}} = %c0 to %[[WHOLE]] step %c16
// CHECK-COUNT-16:  func.call @step
// CHECK:         scf.for %{{.*}} = %[[WHOLE]] to %arg2 step %c1 iter_args(%{{.*}} = %[[TURNS]])
// CHECK:           func.call @step
// CHECK-NOT:       call @step
func.func @unknown(%state: tensor<4xf32>, %rows: tensor<?x4xf32>, %n: index) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = scf.for %i = %c0 to %n step %c1 iter_args(%s = %state) -> (tensor<4xf32>) {
    %row = tensor.extract_slice %rows[%i, 0] [1, 4] [1, 1] : tensor<?x4xf32> to tensor<4xf32>
    %1 = func.call @step(%s, %row) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    scf.yield %1 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// Other control flow inside: left alone.
// CHECK-LABEL: func.func @nested
// CHECK:         scf.for %{{.*}} = %c0 to %c67 step %c1
// CHECK:           call @step
// CHECK-NOT:       call @step
func.func @nested(%state: tensor<4xf32>, %p: i1) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c67 = arith.constant 67 : index
  %0 = scf.for %i = %c0 to %c67 step %c1 iter_args(%s = %state) -> (tensor<4xf32>) {
    %1 = scf.if %p -> (tensor<4xf32>) {
      %2 = func.call @step(%s, %s) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      scf.yield %2 : tensor<4xf32>
    } else {
      scf.yield %s : tensor<4xf32>
    }
    scf.yield %1 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}
