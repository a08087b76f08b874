// RUN: terrace-opt --overlap-epilogues %s | filecheck %s

// A pixel is summed in four steps and finished in four: in the same loop, the results of the pixel before first, as the
// last step keeps its sums where those are read. There is one pixel more, which nothing is summed for.
// CHECK-LABEL: func.func private @pixels
// CHECK:         %[[KEPT:.*]] = memref.alloca() {loop.partition = {{.*}}} : memref<4xi32>
// CHECK:         %[[SUMS:.*]] = memref.alloca() {loop.partition = {{.*}}} : memref<4xi32>
// CHECK:         scf.for %[[T:.*]] = %c0 to %c10
// CHECK-NEXT:      scf.for %[[K:.*]] = %c0 to %c4
// CHECK:             %[[SOME:.*]] = arith.cmpi ugt, %[[T]], %c0
// CHECK:             %[[PLACE:.*]] = arith.cmpi ult, %[[K]], %c4
// CHECK:             %[[THERE:.*]] = arith.andi %[[SOME]], %[[PLACE]]
// CHECK:             scf.if %[[THERE]] {
// CHECK:               %[[BEFORE:.*]] = arith.subi %[[T]], %c1
// CHECK:               memref.load %[[KEPT]][%[[K]]]
// CHECK:               memref.store %{{.*}}, %{{.*}}[%[[BEFORE]], %[[K]]]
// CHECK:             %[[SUMMED:.*]] = arith.cmpi ult, %[[T]], %c9
// CHECK:             scf.if %[[SUMMED]] {
// CHECK:               %[[FIRST:.*]] = arith.cmpi eq, %[[K]], %c0
// CHECK:               scf.if %[[FIRST]] {
// CHECK:                 memref.store %c0_i32, %[[SUMS]]
// CHECK:               %[[LAST:.*]] = arith.cmpi eq, %[[K]], %c3
// CHECK:               arith.muli
// CHECK:               scf.if %[[LAST]] {
// CHECK:                 memref.load %[[SUMS]]
// CHECK:                 memref.store %{{.*}}, %[[KEPT]]
func.func private @pixels(%x: memref<9x4xi8>, %w: memref<4x4xi8>, %y: memref<9x4xi32>) attributes {loop.kernel} {
  %c0_i32 = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    %sums = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xi32>
    scf.for %j = %c0 to %c4 step %c1 {
      memref.store %c0_i32, %sums[%j] : memref<4xi32>
    }
    scf.for %k = %c0 to %c4 step %c1 {
      %a = memref.load %x[%t, %k] : memref<9x4xi8>
      %b = arith.extsi %a : i8 to i32
      scf.for %j = %c0 to %c4 step %c1 {
        %c = memref.load %w[%k, %j] : memref<4x4xi8>
        %d = arith.extsi %c : i8 to i32
        %e = arith.muli %b, %d : i32
        %f = memref.load %sums[%j] : memref<4xi32>
        %g = arith.addi %f, %e : i32
        memref.store %g, %sums[%j] : memref<4xi32>
      }
    }
    scf.for %j = %c0 to %c4 step %c1 {
      %s = memref.load %sums[%j] : memref<4xi32>
      memref.store %s, %y[%t, %j] : memref<9x4xi32>
    }
  }
  return
}

// Two tiles of many steps: a third, to finish the second, would take longer than the pauses do.
// CHECK-LABEL: func.func private @few_tiles
// CHECK:         scf.for %{{.*}} = %c0 to %c2
// CHECK-NEXT:      memref.alloca()
// CHECK-NOT:       scf.if
func.func private @few_tiles(%x: memref<2x64xi8>, %y: memref<2x4xi32>) attributes {loop.kernel} {
  %c0_i32 = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  scf.for %t = %c0 to %c2 step %c1 {
    %sums = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xi32>
    scf.for %j = %c0 to %c4 step %c1 {
      memref.store %c0_i32, %sums[%j] : memref<4xi32>
    }
    scf.for %k = %c0 to %c64 step %c1 {
      %a = memref.load %x[%t, %k] : memref<2x64xi8>
      %b = arith.extsi %a : i8 to i32
      scf.for %j = %c0 to %c4 step %c1 {
        %f = memref.load %sums[%j] : memref<4xi32>
        %g = arith.addi %f, %b : i32
        memref.store %g, %sums[%j] : memref<4xi32>
      }
    }
    scf.for %j = %c0 to %c4 step %c1 {
      %s = memref.load %sums[%j] : memref<4xi32>
      memref.store %s, %y[%t, %j] : memref<2x4xi32>
    }
  }
  return
}

// Sums of floats have an order, and their additions take several cycles: they stay as they are.
// CHECK-LABEL: func.func private @floats
// CHECK-NOT:     scf.if
func.func private @floats(%x: memref<9x4xf32>, %y: memref<9x4xf32>) attributes {loop.kernel} {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    %sums = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xf32>
    scf.for %j = %c0 to %c4 step %c1 {
      memref.store %zero, %sums[%j] : memref<4xf32>
    }
    scf.for %k = %c0 to %c4 step %c1 {
      %a = memref.load %x[%t, %k] : memref<9x4xf32>
      scf.for %j = %c0 to %c4 step %c1 {
        %f = memref.load %sums[%j] : memref<4xf32>
        %g = arith.addf %f, %a : f32
        memref.store %g, %sums[%j] : memref<4xf32>
      }
    }
    scf.for %j = %c0 to %c4 step %c1 {
      %s = memref.load %sums[%j] : memref<4xf32>
      memref.store %s, %y[%t, %j] : memref<9x4xf32>
    }
  }
  return
}

// Four results, and two steps to finish them in: two results in each.
// CHECK-LABEL: func.func private @few_steps
// CHECK:         [[KEPT:%.*]] = memref.alloca()
// CHECK:         scf.for [[TILE:%.*]] = %c0 to %c10
// CHECK:           scf.for [[STEP:%.*]] = %c0 to %c2
// CHECK:             scf.if
// CHECK:               scf.for [[LANE:%.*]] = %c0{{.*}} to %c2
// CHECK:                 [[FIRST:%.*]] = arith.muli [[STEP]], %c2
// CHECK-NEXT:            [[PLACE:%.*]] = arith.addi [[FIRST]], [[LANE]]
// CHECK-NEXT:            [[SUM:%.*]] = memref.load [[KEPT]][[[PLACE]]]
// CHECK-NEXT:            memref.store [[SUM]], %arg1[{{%.*}}, [[PLACE]]]
// CHECK-NEXT:          } {loop.unroll = 2
func.func private @few_steps(%x: memref<9x4xi32>, %y: memref<9x4xi32>) attributes {loop.kernel} {
  %c0_i32 = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    %sums = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xi32>
    scf.for %j = %c0 to %c4 step %c1 {
      memref.store %c0_i32, %sums[%j] : memref<4xi32>
    }
    scf.for %k = %c0 to %c2 step %c1 {
      %a = memref.load %x[%t, %k] : memref<9x4xi32>
      scf.for %j = %c0 to %c4 step %c1 {
        %f = memref.load %sums[%j] : memref<4xi32>
        %g = arith.addi %f, %a : i32
        memref.store %g, %sums[%j] : memref<4xi32>
      }
    }
    scf.for %j = %c0 to %c4 step %c1 {
      %s = memref.load %sums[%j] : memref<4xi32>
      memref.store %s, %y[%t, %j] : memref<9x4xi32>
    }
  }
  return
}

// What is stored is read by later steps, which must not come before.
// CHECK-LABEL: func.func private @in_place
// CHECK-NOT:     scf.if
func.func private @in_place(%x: memref<9x4xi32>) attributes {loop.kernel} {
  %c0_i32 = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    %sums = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xi32>
    scf.for %j = %c0 to %c4 step %c1 {
      memref.store %c0_i32, %sums[%j] : memref<4xi32>
    }
    scf.for %k = %c0 to %c4 step %c1 {
      %a = memref.load %x[%t, %k] : memref<9x4xi32>
      scf.for %j = %c0 to %c4 step %c1 {
        %f = memref.load %sums[%j] : memref<4xi32>
        %g = arith.addi %f, %a : i32
        memref.store %g, %sums[%j] : memref<4xi32>
      }
    }
    scf.for %j = %c0 to %c4 step %c1 {
      %s = memref.load %sums[%j] : memref<4xi32>
      memref.store %s, %x[%t, %j] : memref<9x4xi32>
    }
  }
  return
}

// A tile of two rows of four: a step finishes half a row.
// CHECK-LABEL: func.func private @rows
// CHECK:         memref.alloca() {{.*}} : memref<2x4xi32>
// CHECK:         memref.alloca() {{.*}} : memref<2x4xi32>
// CHECK:         scf.for [[TILE:%.*]] = %c0 to %c10
// CHECK:           scf.for [[STEP:%.*]] = %c0 to %c5
// CHECK:             arith.cmpi ult, [[STEP]], %c4
// CHECK:               scf.for [[LANE:%.*]] = %c0{{.*}} to %c2
// CHECK:                 [[HALF:%.*]] = arith.remui [[STEP]], %c2
// CHECK:                 [[ROW:%.*]] = arith.divui [[STEP]], %c2
// CHECK:                 [[FIRST:%.*]] = arith.muli [[HALF]], %c2
// CHECK:                 [[COLUMN:%.*]] = arith.addi [[FIRST]], [[LANE]]
// CHECK:                 memref.load {{%.*}}[[[ROW]], [[COLUMN]]]
// CHECK:               } {loop.unroll = 2
func.func private @rows(%x: memref<9x5xi32>, %y: memref<9x2x4xi32>) attributes {loop.kernel} {
  %c0_i32 = arith.constant 0 : i32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %c9 = arith.constant 9 : index
  scf.for %t = %c0 to %c9 step %c1 {
    %sums = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<2x4xi32>
    scf.for %i = %c0 to %c2 step %c1 {
      scf.for %j = %c0 to %c4 step %c1 {
        memref.store %c0_i32, %sums[%i, %j] : memref<2x4xi32>
      } {loop.unroll = 4 : i64}
    } {loop.unroll = 2 : i64}
    scf.for %k = %c0 to %c5 step %c1 {
      %a = memref.load %x[%t, %k] : memref<9x5xi32>
      scf.for %i = %c0 to %c2 step %c1 {
        scf.for %j = %c0 to %c4 step %c1 {
          %f = memref.load %sums[%i, %j] : memref<2x4xi32>
          %g = arith.addi %f, %a : i32
          memref.store %g, %sums[%i, %j] : memref<2x4xi32>
        } {loop.unroll = 4 : i64}
      } {loop.unroll = 2 : i64}
    }
    scf.for %i = %c0 to %c2 step %c1 {
      scf.for %j = %c0 to %c4 step %c1 {
        %s = memref.load %sums[%i, %j] : memref<2x4xi32>
        memref.store %s, %y[%t, %i, %j] : memref<9x2x4xi32>
      }
    }
  }
  return
}
