// RUN: terrace-opt --set-hardware-attributes --verify-hardware-attributes %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(set-hardware-attributes{dsp=10 max-unroll=16},verify-hardware-attributes)' %s | filecheck %s --check-prefix=FEW
// RUN: not terrace-opt --pass-pipeline='builtin.module(set-hardware-attributes{max-unroll=0})' %s 2>&1 | filecheck %s --check-prefix=REFUSED

// REFUSED: needs max-unroll >= 1 and dsp >= 0, got 0 and 220

// The columns of a contraction are unrolled as far as multipliers allow; its steps wait for the additions before them.
// A loop that fills registers from memory, which has one port, is pipelined. A loop around loops is left alone.
// CHECK-LABEL: func.func private @contract
// CHECK:         } {loop.pipeline = 1 : i64}
// CHECK:         } {loop.unroll = 8 : i64}
// CHECK-NEXT:    } {loop.pipeline = 4 : i64}
// CHECK-NEXT:    }
// CHECK-NEXT:    return
// FEW-LABEL:   func.func private @contract
// FEW:           } {loop.pipeline = 1 : i64}
// FEW:           } {loop.pipeline = 1 : i64, loop.unroll = 2 : i64}
// FEW-NEXT:    }
func.func private @contract(%w: memref<16x8xf32>, %x: memref<4xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %acc = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<8xf32>
  %lhs = memref.alloca() {loop.partition = {dim = 0 : i64, kind = "complete"}} : memref<4xf32>
  scf.for %o = %c0 to %c4 step %c1 {
    scf.for %k = %c0 to %c4 step %c1 {
      %v = memref.load %x[%k] : memref<4xf32>
      memref.store %v, %lhs[%k] : memref<4xf32>
    }
    scf.for %k = %c0 to %c4 step %c1 {
      scf.for %n = %c0 to %c8 step %c1 {
        %l = memref.load %lhs[%k] : memref<4xf32>
        %a = memref.load %acc[%n] : memref<8xf32>
        %s = math.fma %l, %l, %a : f32
        memref.store %s, %acc[%n] : memref<8xf32>
      }
    }
  }
  return
}

// A loop that has attributes keeps them.
// CHECK-LABEL: func.func private @kept
// CHECK:         } {loop.pipeline = 3 : i64}
func.func private @kept(%x: memref<4xf32>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %k = %c0 to %c4 step %c1 {
    %v = memref.load %x[%k] : memref<4xf32>
    memref.store %v, %x[%k] : memref<4xf32>
  } {loop.pipeline = 3 : i64}
  return
}
