// RUN: terrace-opt --pass-pipeline='builtin.module(stream-results{bytes=4096})' %s | FileCheck %s

// Whole vectors of a result of 4096 bytes, whose rows are whole vectors: past the caches, if the memory begins at a
// multiple of 64 bytes. A fence follows all stores.
// CHECK-LABEL: func.func private @rows
// CHECK:         %[[RESULT:.*]] = memref.alloc() : memref<16x64xf32>
// CHECK:         %[[ADDRESS:.*]] = memref.extract_aligned_pointer_as_index %[[RESULT]]
// CHECK:         %[[REST:.*]] = arith.andi %[[ADDRESS]], %{{.*}} : index
// CHECK:         %[[FITS:.*]] = arith.cmpi eq, %[[REST]]
// CHECK:         "loop.parallel"
// CHECK:           scf.if %[[FITS]] {
// CHECK:             vector.store %{{.*}}, %[[RESULT]][%{{.*}}, %{{.*}}] {alignment = 64 : i64, nontemporal = true}
// CHECK:           } else {
// CHECK:             vector.store %{{.*}}, %[[RESULT]][%{{[^{]*}}] : memref
// CHECK:           llvm.call_intrinsic "llvm.x86.sse.sfence"() : () -> ()
// CHECK-NEXT:      "loop.yield"
// Rows that are no whole vectors; a loop that begins between two; a smaller result; one that is read again.
// CHECK-NOT:   nontemporal
module attributes {terrace.target = {cpu = {}, features = ["avx512f", "sse2"], name = "cpu"}} {
  func.func private @rows(%x: tensor<16x64xf32>) -> tensor<16x64xf32> attributes {loop.kernel} {
    %c0 = arith.constant 0 : index
    %c16 = arith.constant 16 : index
    %c64 = arith.constant 64 : index
    %c1 = arith.constant 1 : index
    %0 = "loop.to_buffer"(%x) : (tensor<16x64xf32>) -> memref<16x64xf32>
    %alloc = memref.alloc() : memref<16x64xf32>
    "loop.parallel"(%c1) ({
    ^bb0(%w: index):
      scf.for %i = %c0 to %c16 step %c1 {
        scf.for %j = %c0 to %c64 step %c16 {
          %1 = vector.load %0[%i, %j] : memref<16x64xf32>, vector<16xf32>
          vector.store %1, %alloc[%i, %j] : memref<16x64xf32>, vector<16xf32>
        }
      }
      "loop.yield"() : () -> ()
    }) {mapping = ["workgroup"]} : (index) -> ()
    %2 = "loop.to_tensor"(%alloc) : (memref<16x64xf32>) -> tensor<16x64xf32>
    return %2 : tensor<16x64xf32>
  }

  func.func private @odd_rows(%x: tensor<16x72xf32>) -> tensor<16x72xf32> attributes {loop.kernel} {
    %c0 = arith.constant 0 : index
    %c16 = arith.constant 16 : index
    %c64 = arith.constant 64 : index
    %c1 = arith.constant 1 : index
    %0 = "loop.to_buffer"(%x) : (tensor<16x72xf32>) -> memref<16x72xf32>
    %alloc = memref.alloc() : memref<16x72xf32>
    "loop.parallel"(%c1) ({
    ^bb0(%w: index):
      scf.for %i = %c0 to %c16 step %c1 {
        scf.for %j = %c0 to %c64 step %c16 {
          %1 = vector.load %0[%i, %j] : memref<16x72xf32>, vector<16xf32>
          vector.store %1, %alloc[%i, %j] : memref<16x72xf32>, vector<16xf32>
        }
      }
      "loop.yield"() : () -> ()
    }) {mapping = ["workgroup"]} : (index) -> ()
    %2 = "loop.to_tensor"(%alloc) : (memref<16x72xf32>) -> tensor<16x72xf32>
    return %2 : tensor<16x72xf32>
  }

  func.func private @begins_between(%x: tensor<4096xf32>) -> tensor<4096xf32> attributes {loop.kernel} {
    %c8 = arith.constant 8 : index
    %c16 = arith.constant 16 : index
    %c4080 = arith.constant 4080 : index
    %c1 = arith.constant 1 : index
    %0 = "loop.to_buffer"(%x) : (tensor<4096xf32>) -> memref<4096xf32>
    %alloc = memref.alloc() : memref<4096xf32>
    "loop.parallel"(%c1) ({
    ^bb0(%w: index):
      scf.for %i = %c8 to %c4080 step %c16 {
        %1 = vector.load %0[%i] : memref<4096xf32>, vector<16xf32>
        vector.store %1, %alloc[%i] : memref<4096xf32>, vector<16xf32>
      }
      "loop.yield"() : () -> ()
    }) {mapping = ["workgroup"]} : (index) -> ()
    %2 = "loop.to_tensor"(%alloc) : (memref<4096xf32>) -> tensor<4096xf32>
    return %2 : tensor<4096xf32>
  }

  func.func private @small(%x: tensor<512xf32>) -> tensor<512xf32> attributes {loop.kernel} {
    %c0 = arith.constant 0 : index
    %c16 = arith.constant 16 : index
    %c512 = arith.constant 512 : index
    %c1 = arith.constant 1 : index
    %0 = "loop.to_buffer"(%x) : (tensor<512xf32>) -> memref<512xf32>
    %alloc = memref.alloc() : memref<512xf32>
    "loop.parallel"(%c1) ({
    ^bb0(%w: index):
      scf.for %i = %c0 to %c512 step %c16 {
        %1 = vector.load %0[%i] : memref<512xf32>, vector<16xf32>
        vector.store %1, %alloc[%i] : memref<512xf32>, vector<16xf32>
      }
      "loop.yield"() : () -> ()
    }) {mapping = ["workgroup"]} : (index) -> ()
    %2 = "loop.to_tensor"(%alloc) : (memref<512xf32>) -> tensor<512xf32>
    return %2 : tensor<512xf32>
  }

  func.func private @read_again(%x: tensor<4096xf32>) -> tensor<4096xf32> attributes {loop.kernel} {
    %c0 = arith.constant 0 : index
    %c16 = arith.constant 16 : index
    %c4096 = arith.constant 4096 : index
    %c1 = arith.constant 1 : index
    %0 = "loop.to_buffer"(%x) : (tensor<4096xf32>) -> memref<4096xf32>
    %alloc = memref.alloc() : memref<4096xf32>
    "loop.parallel"(%c1) ({
    ^bb0(%w: index):
      scf.for %i = %c0 to %c4096 step %c16 {
        %1 = vector.load %0[%i] : memref<4096xf32>, vector<16xf32>
        %2 = vector.load %alloc[%i] : memref<4096xf32>, vector<16xf32>
        %3 = arith.addf %1, %2 : vector<16xf32>
        vector.store %3, %alloc[%i] : memref<4096xf32>, vector<16xf32>
      }
      "loop.yield"() : () -> ()
    }) {mapping = ["workgroup"]} : (index) -> ()
    %2 = "loop.to_tensor"(%alloc) : (memref<4096xf32>) -> tensor<4096xf32>
    return %2 : tensor<4096xf32>
  }
}
