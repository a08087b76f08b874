// RUN: terrace-opt --pass-pipeline='builtin.module(lower-tiles-to-invocations{workgroup-size=16 subgroup-size=8},canonicalize,cse)' --split-input-file %s | filecheck %s
// RUN: not terrace-opt --pass-pipeline='builtin.module(lower-tiles-to-invocations{workgroup-size=12})' %s 2>&1 | filecheck %s --check-prefix=ODD
// RUN: not terrace-opt --pass-pipeline='builtin.module(lower-tiles-to-invocations{workgroup-size=16 subgroup-size=32})' %s 2>&1 | filecheck %s --check-prefix=WIDE

// ODD: workgroup-size must be a power of two, got 12
// WIDE: subgroup-size must divide workgroup-size, got 32

// Two rows of eight invocations; each holds two of the four rows. Neighbours read neighbours. Nothing is asked for ahead.
// CHECK-LABEL: func.func private @full
// CHECK-SAME:    loop.subgroup_size = 8 : i64, loop.workgroup_size = 16 : i64
// CHECK:         %[[ID:.*]] = gpu.thread_id x
// CHECK:         %[[ROW:.*]] = arith.divui %[[ID]], %c8
// CHECK:         %[[COLUMN:.*]] = arith.remui %[[ID]], %c8
// CHECK:         %[[FIRST:.*]] = memref.load %arg0[%[[ROW]], %[[COLUMN]]]
// CHECK:         %[[BELOW:.*]] = arith.addi %[[ROW]], %c2
// CHECK:         %[[SECOND:.*]] = memref.load %arg0[%[[BELOW]], %[[COLUMN]]]
// CHECK-NOT:     memref.prefetch
// CHECK:         math.exp %[[FIRST]] : f32
// CHECK:         math.exp %[[SECOND]] : f32
// CHECK-COUNT-2: memref.store
// CHECK-NOT:     scf.if
func.func private @full(%m: memref<4x8xf32>, %o: memref<4x8xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x8xf32>, index, index) -> vector<4x8xf32>
    memref.prefetch %m[%c0, %c0], read, locality<2>, data : memref<4x8xf32>
    %1 = math.exp %0 : vector<4x8xf32>
    "loop.store_tile"(%1, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<4x8xf32>, memref<4x8xf32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// The operand of a contraction is computed as the columns that an invocation multiplies by.
// CHECK-LABEL: func.func private @computed
// CHECK:         math.exp
// CHECK:         math.fma
func.func private @computed(%m: memref<4x4xf32>, %o: memref<4x4xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xf32>, index, index) -> vector<4x4xf32>
    %zero = arith.constant dense<0.0> : vector<4x4xf32>
    %1 = math.exp %0 : vector<4x4xf32>
    %2 = "loop.contract_tile"(%0, %1, %zero) : (vector<4x4xf32>, vector<4x4xf32>, vector<4x4xf32>) -> vector<4x4xf32>
    "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<4x4xf32>, memref<4x4xf32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// 19 elements: the second of an invocation is clamped into the tile, and stored by the three that have one.
// CHECK-LABEL: func.func private @tail
// CHECK:         %[[ID:.*]] = gpu.thread_id x
// CHECK:         memref.load %arg0[%{{.*}}]
// CHECK:         %[[NEXT:.*]] = arith.addi %{{.*}}, %c16
// CHECK:         %[[INSIDE:.*]] = arith.minui %[[NEXT]], %c18
// CHECK:         memref.load %arg0[%[[INSIDE]]]
// CHECK:         memref.store
// CHECK:         %[[HAS:.*]] = arith.cmpi ult, %[[NEXT]], %c19
// CHECK-NEXT:    scf.if %[[HAS]] {
// CHECK-NEXT:      memref.store %{{.*}}, %arg1[%[[NEXT]]]
func.func private @tail(%m: memref<19xf32>, %o: memref<19xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<19xf32>, index) -> vector<19xf32>
    "loop.store_tile"(%0, %o, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<19xf32>, memref<19xf32>, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Of an unknown number of elements nothing is read or written beyond.
// CHECK-LABEL: func.func private @partial
// CHECK:         %[[INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %arg2
// CHECK:         %[[READ:.*]] = scf.if %[[INSIDE]] -> (f32) {
// CHECK-NEXT:      %[[THERE:.*]] = memref.load %arg0
// CHECK-NEXT:      scf.yield %[[THERE]]
// CHECK-NEXT:    } else {
// CHECK-NEXT:      scf.yield %cst
// CHECK:         scf.if %[[INSIDE]] {
// CHECK-NEXT:      memref.store %[[READ]], %arg1
func.func private @partial(%m: memref<?xf32>, %o: memref<?xf32>, %size: index, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0, %size) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1>} : (memref<?xf32>, index, index) -> vector<16xf32>
    "loop.store_tile"(%0, %o, %c0, %size) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 1>} : (vector<16xf32>, memref<?xf32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Local memory is the workgroup's: what one invocation wrote, another reads behind a barrier, and in a loop the next
// round's writes wait for this one's reads.
// CHECK-LABEL: func.func private @local
// CHECK:         %[[LOCAL:.*]] = memref.alloc() : memref<16xf32, #gpu.address_space<workgroup>>
// CHECK:         scf.for
// CHECK:           gpu.barrier
// CHECK:           memref.store %{{.*}}, %[[LOCAL]]
// CHECK:           gpu.barrier
// CHECK-NEXT:      %[[READ:.*]] = memref.load %[[LOCAL]]
// CHECK-NOT:       gpu.barrier
// CHECK:           memref.store %[[READ]], %arg1
func.func private @local(%m: memref<64xf32>, %o: memref<64xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %l = "loop.alloc"() : () -> memref<16xf32, "local">
    scf.for %i = %c0 to %c64 step %c16 {
      %0 = "loop.load_tile"(%m, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
        operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<64xf32>, index) -> vector<16xf32>
      "loop.store_tile"(%0, %l, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
        operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<16xf32>, memref<16xf32, "local">, index) -> ()
      %1 = "loop.load_tile"(%l, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
        operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<16xf32, "local">, index) -> vector<16xf32>
      "loop.store_tile"(%1, %o, %i) {dims = array<i64: 0>, strides = array<i64: 1>,
        operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<16xf32>, memref<64xf32>, index) -> ()
    }
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// An accumulator of 8x8 over 4x4 invocations: each reads two rows and two columns, whole along k, for 2x2 sums.
// CHECK-LABEL: func.func private @contract
// CHECK:         arith.divui %{{.*}}, %c4
// CHECK-COUNT-4: memref.load %arg0
// CHECK:         arith.remui %{{.*}}, %c4
// CHECK-COUNT-4: memref.load %arg1
// CHECK-NOT:     memref.load
// CHECK-COUNT-8: math.fma {{.*}} : f32
// CHECK-NOT:     math.fma
// CHECK-COUNT-4: memref.store %{{.*}}, %arg2
func.func private @contract(%a: memref<8x2xf32>, %b: memref<2x8xf32>, %o: memref<8x8xf32>, %n: index)
    attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%a, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<8x2xf32>, index, index) -> vector<8x2xf32>
    %1 = "loop.load_tile"(%b, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<2x8xf32>, index, index) -> vector<2x8xf32>
    %zero = arith.constant dense<0.0> : vector<8x8xf32>
    %2 = "loop.contract_tile"(%0, %1, %zero) : (vector<8x2xf32>, vector<2x8xf32>, vector<8x8xf32>) -> vector<8x8xf32>
    "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<8x8xf32>, memref<8x8xf32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// A row is reduced by each invocation, then by a tree over workgroup memory, whose result all of them read.
// CHECK-LABEL: func.func private @reduce
// CHECK:         %[[ALL:.*]] = memref.alloc() : memref<16xf32, #gpu.address_space<workgroup>>
// CHECK:         %[[OWN:.*]] = arith.maximumf
// CHECK:         gpu.barrier
// CHECK:         memref.store %[[OWN]], %[[ALL]]
// CHECK:         arith.cmpi ult, %{{.*}}, %c8
// CHECK:         arith.cmpi ult, %{{.*}}, %c4
// CHECK:         arith.cmpi ult, %{{.*}}, %c2
// CHECK:         arith.cmpi ult, %{{.*}}, %c1
// CHECK:         gpu.barrier
// CHECK:         %[[RESULT:.*]] = memref.load %[[ALL]][%c0]
// CHECK-COUNT-2: memref.store %[[RESULT]], %arg1
func.func private @reduce(%m: memref<1x32xf32>, %o: memref<1x32xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<1x32xf32>, index, index) -> vector<1x32xf32>
    %1 = "loop.reduce_tile"(%0) {kind = "max"} : (vector<1x32xf32>) -> vector<1x1xf32>
    %2 = "loop.broadcast_tile"(%1) : (vector<1x1xf32>) -> vector<1x32xf32>
    "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<1x32xf32>, memref<1x32xf32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Each invocation knows where in the tile its elements stand.
// CHECK-LABEL: func.func private @positions
// CHECK:         %[[ID:.*]] = gpu.thread_id x
// CHECK:         %[[ROW:.*]] = arith.divui %[[ID]], %c8
// CHECK:         %[[DOWN:.*]] = arith.addi %arg1, %[[ROW]]
// CHECK:         arith.index_cast %[[DOWN]] : index to i32
// CHECK:         %[[COLUMN:.*]] = arith.remui %[[ID]], %c8
// CHECK:         %[[ACROSS:.*]] = arith.addi %arg2, %[[COLUMN]]
// CHECK:         arith.index_cast %[[ACROSS]] : index to i32
func.func private @positions(%o: memref<2x8xi32>, %i: index, %j: index, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.index_tile"(%i) {dim = 0 : i64} : (index) -> vector<2x8xi32>
    %1 = "loop.index_tile"(%j) {dim = 1 : i64} : (index) -> vector<2x8xi32>
    %2 = arith.addi %0, %1 : vector<2x8xi32>
    "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<2x8xi32>, memref<2x8xi32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// The result of a contraction is spread in another way than a contraction reads its operands: it goes through memory of
// the workgroup, once, although a loop reads it.
// CHECK-LABEL: func.func private @multiplied_again
// CHECK:         %[[SHARED:.*]] = memref.alloc() : memref<4x4xf32, #gpu.address_space<workgroup>>
// CHECK:         gpu.barrier
// CHECK-NEXT:    memref.store %{{.*}}, %[[SHARED]]
// CHECK:         gpu.barrier
// CHECK-COUNT-4: memref.load %[[SHARED]]
// CHECK:         scf.for
// CHECK-NOT:       %[[SHARED]]
// CHECK-COUNT-4:   math.fma
// CHECK:         memref.store %{{.*}}, %arg1
func.func private @multiplied_again(%m: memref<4x4xf32>, %o: memref<4x4xf32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xf32>, index, index) -> vector<4x4xf32>
    %zero = arith.constant dense<0.0> : vector<4x4xf32>
    %1 = "loop.contract_tile"(%0, %0, %zero) : (vector<4x4xf32>, vector<4x4xf32>, vector<4x4xf32>) -> vector<4x4xf32>
    %2 = scf.for %i = %c0 to %n step %c1 iter_args(%sum = %zero) -> (vector<4x4xf32>) {
      %3 = "loop.contract_tile"(%1, %0, %sum) : (vector<4x4xf32>, vector<4x4xf32>, vector<4x4xf32>) -> vector<4x4xf32>
      scf.yield %3 : vector<4x4xf32>
    }
    "loop.store_tile"(%2, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<4x4xf32>, memref<4x4xf32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Of several rows, each is reduced by one invocation; those that hold parts of it get the result through memory.
// CHECK-LABEL: func.func private @rows
// CHECK:         %[[SHARED:.*]] = memref.alloc() : memref<4x1xi32, #gpu.address_space<workgroup>>
// CHECK-COUNT-4: memref.load %arg0
// CHECK-COUNT-3: arith.maxsi
// CHECK:         gpu.barrier
// CHECK:         memref.store %{{.*}}, %[[SHARED]]
// CHECK:         gpu.barrier
// CHECK:         %[[MAX:.*]] = memref.load %[[SHARED]]
// CHECK:         arith.subi %{{.*}}, %[[MAX]]
func.func private @rows(%m: memref<4x4xi32>, %o: memref<4x4xi32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xi32>, index, index) -> vector<4x4xi32>
    %1 = "loop.reduce_tile"(%0) {kind = "max"} : (vector<4x4xi32>) -> vector<4x1xi32>
    %2 = "loop.broadcast_tile"(%1) : (vector<4x1xi32>) -> vector<4x4xi32>
    %3 = arith.subi %0, %2 : vector<4x4xi32>
    "loop.store_tile"(%3, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<4x4xi32>, memref<4x4xi32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// Integers are widened to the accumulator's type, multiplied and added.
// CHECK-LABEL: func.func private @integers
// CHECK:         arith.extsi %{{.*}} : i8 to i32
// CHECK:         arith.muli
// CHECK:         arith.addi {{.*}} : i32
func.func private @integers(%m: memref<4x4xi8>, %o: memref<4x4xi32>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 2, 0>} : (memref<4x4xi8>, index, index) -> vector<4x4xi8>
    %zero = arith.constant dense<0> : vector<4x4xi32>
    %1 = "loop.contract_tile"(%0, %0, %zero) : (vector<4x4xi8>, vector<4x4xi8>, vector<4x4xi32>) -> vector<4x4xi32>
    "loop.store_tile"(%1, %o, %c0, %c0) {dims = array<i64: 0, 1>, strides = array<i64: 1, 1>,
      operandSegmentSizes = array<i32: 1, 1, 2, 0>} : (vector<4x4xi32>, memref<4x4xi32>, index, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// A table is in memory of the workgroup, which the first invocation fills before all else.
// CHECK-LABEL: func.func private @lookup
// CHECK:         %[[TABLE:.*]] = memref.alloc() : memref<4xi8, #gpu.address_space<workgroup>>
// CHECK:         %[[FIRST:.*]] = arith.cmpi eq, %{{.*}}, %c0
// CHECK-NEXT:    scf.if %[[FIRST]] {
// CHECK-COUNT-4:   memref.store %{{.*}}, %[[TABLE]]
// CHECK:         gpu.barrier
// CHECK:         %[[AT:.*]] = arith.index_cast
// CHECK:         memref.load %[[TABLE]][%[[AT]]]
func.func private @lookup(%m: memref<16xi32>, %o: memref<16xi8>, %n: index) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  "loop.parallel"(%n) ({
  ^bb0(%g: index):
    %0 = "loop.load_tile"(%m, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<16xi32>, index) -> vector<16xi32>
    %1 = "loop.lookup_tile"(%0) {table = dense<[1, 2, 3, 5]> : tensor<4xi8>} : (vector<16xi32>) -> vector<16xi8>
    "loop.store_tile"(%1, %o, %c0) {dims = array<i64: 0>, strides = array<i64: 1>,
      operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (vector<16xi8>, memref<16xi8>, index) -> ()
    "loop.yield"() : () -> ()
  }) {mapping = ["workgroup"]} : (index) -> ()
  return
}

// -----

// What is no kernel stays as it is.
// CHECK-LABEL: func.func @host
// CHECK-NEXT:    math.exp %arg0 : vector<4xf32>
func.func @host(%v: vector<4xf32>) -> vector<4xf32> {
  %0 = math.exp %v : vector<4xf32>
  return %0 : vector<4xf32>
}
