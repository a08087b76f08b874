// RUN: terrace-opt --pass-pipeline='builtin.module(convert-loop-to-gpu,canonicalize)' %s | filecheck %s

// A kernel of two results, with memory that a workgroup shares: operands come first, the innermost dimension of
// loop.parallel is x. Host code and parameters are dropped.

// CHECK:       gpu.module @twice
// CHECK-NEXT:    gpu.func @twice(
// CHECK-SAME:      %arg0: memref<4x64xf32, #spirv.storage_class<StorageBuffer>>,
// CHECK-SAME:      %arg1: memref<4x64xf32, #spirv.storage_class<StorageBuffer>>,
// CHECK-SAME:      %arg2: memref<4x64xf32, #spirv.storage_class<StorageBuffer>>) kernel attributes {
// CHECK-SAME:      known_grid_size = array<i32: 2, 4, 1>,
// CHECK-SAME:      spirv.entry_point_abi = #spirv.entry_point_abi<workgroup_size = [32, 1, 1], subgroup_size = 8>}
// CHECK-DAG:     %[[ROW:.*]] = gpu.block_id y
// CHECK-DAG:     %[[PART:.*]] = gpu.block_id x
// CHECK:         %[[SHARED:.*]] = memref.alloc() : memref<32xf32, #spirv.storage_class<Workgroup>>
// CHECK:         memref.store %{{.*}}, %[[SHARED]]
// CHECK-NEXT:    gpu.barrier
// CHECK:         memref.store %{{.*}}, %arg1[%[[ROW]], %{{.*}}]
// CHECK-NEXT:    memref.store %{{.*}}, %arg2[%[[ROW]], %{{.*}}]
// CHECK-NEXT:    gpu.return
// CHECK-NOT:   @main
// CHECK-NOT:   graph.parameter
func.func private @twice(%a: tensor<4x64xf32>) -> (tensor<4x64xf32>, tensor<4x64xf32>)
    attributes {loop.kernel, loop.subgroup_size = 8 : i64, loop.workgroup_size = 32 : i64} {
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c32 = arith.constant 32 : index
  %in = "loop.to_buffer"(%a) : (tensor<4x64xf32>) -> memref<4x64xf32>
  %first = memref.alloc() : memref<4x64xf32>
  %second = memref.alloc() : memref<4x64xf32>
  "loop.parallel"(%c4, %c2) ({
  ^bb0(%row: index, %part: index):
    %shared = memref.alloc() : memref<32xf32, #gpu.address_space<workgroup>>
    %thread = gpu.thread_id x
    %start = arith.muli %part, %c32 : index
    %column = arith.addi %start, %thread : index
    %0 = memref.load %in[%row, %column] : memref<4x64xf32>
    memref.store %0, %shared[%thread] : memref<32xf32, #gpu.address_space<workgroup>>
    gpu.barrier
    %1 = memref.load %shared[%thread] : memref<32xf32, #gpu.address_space<workgroup>>
    %2 = arith.addf %0, %1 : f32
    memref.store %2, %first[%row, %column] : memref<4x64xf32>
    memref.store %1, %second[%row, %column] : memref<4x64xf32>
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup", "workgroup"]} : (index, index) -> ()
  %3 = "loop.to_tensor"(%first) : (memref<4x64xf32>) -> tensor<4x64xf32>
  %4 = "loop.to_tensor"(%second) : (memref<4x64xf32>) -> tensor<4x64xf32>
  return %3, %4 : tensor<4x64xf32>, tensor<4x64xf32>
}

func.func @main(%a: tensor<4x64xf32>) -> tensor<4x64xf32> {
  %0:2 = call @twice(%a) : (tensor<4x64xf32>) -> (tensor<4x64xf32>, tensor<4x64xf32>)
  return %0#1 : tensor<4x64xf32>
}

"graph.parameter"() {sym_name = "weight", type = tensor<4x64xf32>} : () -> ()
