// An int8 linear layer of 24 by 40 in tiles of ten columns; its bias, multipliers and shifts are in ten banks.
module {
  memref.global "private" @ls.reshape : memref<1x40xi32> = uninitialized
  memref.global "private" @lm.reshape : memref<1x40xi32> = uninitialized
  memref.global "private" @lb.reshape : memref<1x40xi32> = uninitialized
  memref.global "private" @lw : memref<40x24xi8> = uninitialized
  func.func private @matmul_add_requantize_1x40(%arg0: memref<1x24xi8>, %arg1: memref<40x24xi8>, %arg2: memref<1x40xi32> {loop.partition = {dim = 2 : i64, factor = 10 : i64, kind = "cyclic"}}, %arg3: memref<1x40xi32> {loop.partition = {dim = 2 : i64, factor = 10 : i64, kind = "cyclic"}}, %arg4: memref<1x40xi32> {loop.partition = {dim = 2 : i64, factor = 10 : i64, kind = "cyclic"}}, %arg5: memref<1x40xi8>) attributes {loop.kernel} {
    %c127_i64 = arith.constant 127 : i64
    %c-128_i64 = arith.constant -128 : i64
    %c1_i64 = arith.constant 1 : i64
    %c0_i32 = arith.constant 0 : i32
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %c24 = arith.constant 24 : index
    %c10 = arith.constant 10 : index
    %c40 = arith.constant 40 : index
    %c0 = arith.constant 0 : index
    scf.for %arg6 = %c0 to %c40 step %c10 {
      %alloca = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<10xi32>
      scf.for %arg7 = %c0 to %c10 step %c1 {
        memref.store %c0_i32, %alloca[%arg7] : memref<10xi32>
      } {loop.unroll = 10 : i64}
      scf.for %arg7 = %c0 to %c24 step %c8 {
        %alloca_2 = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<8xi8>
        scf.for %arg8 = %c0 to %c8 step %c1 {
          %0 = arith.addi %arg7, %arg8 : index
          %1 = memref.load %arg0[%c0, %0] : memref<1x24xi8>
          memref.store %1, %alloca_2[%arg8] : memref<8xi8>
        } {loop.pipeline = 1 : i64}
        %alloca_3 = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<8x10xi8>
        scf.for %arg8 = %c0 to %c8 step %c1 {
          scf.for %arg9 = %c0 to %c10 step %c1 {
            %0 = arith.addi %arg7, %arg8 : index
            %1 = arith.addi %arg6, %arg9 : index
            %2 = memref.load %arg1[%1, %0] : memref<40x24xi8>
            memref.store %2, %alloca_3[%arg8, %arg9] : memref<8x10xi8>
          } {loop.pipeline = 1 : i64}
        }
        scf.for %arg8 = %c0 to %c8 step %c1 {
          scf.for %arg9 = %c0 to %c10 step %c1 {
            %0 = memref.load %alloca_2[%arg8] : memref<8xi8>
            %1 = memref.load %alloca_3[%arg8, %arg9] : memref<8x10xi8>
            %2 = arith.extsi %0 : i8 to i32
            %3 = arith.extsi %1 : i8 to i32
            %4 = memref.load %alloca[%arg9] : memref<10xi32>
            %5 = arith.muli %2, %3 : i32
            %6 = arith.addi %4, %5 : i32
            memref.store %6, %alloca[%arg9] : memref<10xi32>
          } {loop.unroll = 10 : i64}
        } {loop.pipeline = 1 : i64}
      }
      %alloca_0 = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<10xi64>
      scf.for %arg7 = %c0 to %c10 step %c1 {
        %0 = arith.addi %arg6, %arg7 : index
        %1 = memref.load %arg4[%c0, %0] : memref<1x40xi32>
        %2 = arith.extsi %1 : i32 to i64
        memref.store %2, %alloca_0[%arg7] : memref<10xi64>
      } {loop.unroll = 10 : i64}
      %alloca_1 = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<10xi64>
      scf.for %arg7 = %c0 to %c10 step %c1 {
        %0 = memref.load %alloca[%arg7] : memref<10xi32>
        %1 = arith.addi %arg6, %arg7 : index
        %2 = memref.load %arg2[%c0, %1] : memref<1x40xi32>
        %3 = arith.addi %0, %2 : i32
        %4 = arith.extsi %3 : i32 to i64
        %5 = memref.load %arg3[%c0, %1] : memref<1x40xi32>
        %6 = arith.extsi %5 : i32 to i64
        %7 = arith.muli %4, %6 : i64
        memref.store %7, %alloca_1[%arg7] : memref<10xi64>
      } {loop.unroll = 10 : i64}
      scf.for %arg7 = %c0 to %c10 step %c1 {
        %0 = memref.load %alloca_1[%arg7] : memref<10xi64>
        %1 = memref.load %alloca_0[%arg7] : memref<10xi64>
        %2 = arith.subi %1, %c1_i64 : i64
        %3 = arith.shli %c1_i64, %2 : i64
        %4 = arith.subi %3, %c1_i64 : i64
        %5 = arith.shrsi %0, %1 : i64
        %6 = arith.andi %5, %c1_i64 : i64
        %7 = arith.addi %4, %6 : i64
        %8 = arith.addi %0, %7 : i64
        %9 = arith.shrsi %8, %1 : i64
        %10 = arith.maxsi %9, %c-128_i64 : i64
        %11 = arith.minsi %10, %c127_i64 : i64
        %12 = arith.trunci %11 : i64 to i8
        %13 = arith.addi %arg6, %arg7 : index
        memref.store %12, %arg5[%c0, %13] : memref<1x40xi8>
      } {loop.pipeline = 1 : i64}
    }
    return
  }
  func.func @main(%arg0: memref<1x24xi8>, %arg1: memref<1x40xi8>) attributes {hls.inputs = 1 : i64} {
    %0 = memref.get_global @lw : memref<40x24xi8>
    %1 = memref.get_global @lb.reshape : memref<1x40xi32>
    %2 = memref.get_global @lm.reshape : memref<1x40xi32>
    %3 = memref.get_global @ls.reshape : memref<1x40xi32>
    call @matmul_add_requantize_1x40(%arg0, %0, %1, %2, %3, %arg1) : (memref<1x24xi8>, memref<40x24xi8>, memref<1x40xi32>, memref<1x40xi32>, memref<1x40xi32>, memref<1x40xi8>) -> ()
    return
  }
}
