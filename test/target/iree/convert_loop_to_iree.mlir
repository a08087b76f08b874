// RUN: terrace-opt --convert-loop-to-iree %s | filecheck %s

// The number of workgroups comes from the sizes of arguments and results, the innermost dimension first.
// CHECK-LABEL: module @model
// CHECK-NEXT:    "stream.executable"() ({
// CHECK:         ^bb0(%[[ROWS:.*]]: index, %[[N:.*]]: index):
// CHECK:           %[[BLOCKS:.*]] = arith.divui
// CHECK:           "stream.return"(%[[N]], %[[BLOCKS]], %{{.*}})
// CHECK:         }) {function_ref = @kernel, sym_name = "kernel", sym_visibility = "public"}

// A binding for each argument and result, then the sizes.
// CHECK:         func.func @kernel(%[[X:.*]]: !stream.binding, %[[W:.*]]: !stream.binding, %[[Y:.*]]: !stream.binding,
// CHECK-SAME:      %[[ROWS:.*]]: index, %[[N:.*]]: index) attributes {translation_info = {{.*}}no_pipeline>}
// CHECK:           %[[ROW:.*]] = "stream.dispatch.workgroup.id"() {dimension = 0 : index}
// CHECK:           %[[BLOCK:.*]] = "stream.dispatch.workgroup.id"() {dimension = 1 : index}
// CHECK:           %[[IN:.*]] = "stream.binding.subspan"(%[[X]], %{{.*}}, %[[ROWS]]) {{.*}} -> memref<?x4xf32>
// CHECK:           %[[OUT:.*]] = "stream.binding.subspan"(%[[Y]], %{{.*}}, %[[N]]) {{.*}} -> memref<?x4xf32>
// CHECK:           %[[LOCAL:.*]] = memref.alloc() : memref<8xf32, #iree_codegen.workgroup_local>
// CHECK-NEXT:      %[[A:.*]] = memref.load %[[IN]][%[[ROW]], %[[BLOCK]]]
// CHECK-NEXT:      memref.store %[[A]], %[[LOCAL]][%[[BLOCK]]]
// CHECK-NEXT:      memref.store %[[A]], %[[OUT]][%[[N]], %[[BLOCK]]]
// CHECK-NEXT:      return

// Parameters that nothing reads are not in the program; a state starts as a copy.
// CHECK:         "util.global"() {initial_value = #flow.parameter.named<"model"::"w"> : tensor<4xf32>, sym_name = "w"
// CHECK-NOT:     "unused"
// CHECK:         "util.global"() {is_mutable, sym_name = "count"
// CHECK:         "util.initializer"() ({
// CHECK-NEXT:      %[[START:.*]] = "util.global.load"() {global = @start}
// CHECK-NEXT:      %[[COPY:.*]] = "flow.tensor.clone"(%[[START]])
// CHECK-NEXT:      "util.global.store"(%[[COPY]]) {global = @count}

// A launch passes sizes as workload and as operands.
// CHECK-LABEL:   func.func @main
// CHECK:           "util.global.load"() {global = @w}
// CHECK:           %[[STATE:.*]] = "util.global.load"() {global = @count}
// CHECK:           "util.global.store"(%[[STATE]]) {global = @count}
// CHECK:           "flow.dispatch"(%[[DIM:.*]], %arg1, %arg0, %{{.*}}, %[[DIM]], %arg1, %{{.*}}, %arg1)
// CHECK-SAME:        entry_points = [@kernel::@kernel], operandSegmentSizes = array<i32: 2, 4, 1, 1>

// IREE must not work in the memory of an argument, which is the caller's, until the end.
// CHECK-NEXT:      "util.optimization_barrier"(%arg0)
// CHECK-NEXT:      return

// What the runtime calls for the state.
// CHECK-LABEL:   func.func @state.get.count() -> tensor<4xf32>
// CHECK-LABEL:   func.func @state.set.count(%arg0: tensor<4xf32>)
// CHECK-LABEL:   func.func @state.reset()
// CHECK:           "util.global.load"() {global = @start}
// CHECK:           "util.global.store"(%{{.*}}) {global = @count}
"graph.parameter"() {sym_name = "w", type = tensor<4xf32>} : () -> ()
"graph.parameter"() {sym_name = "unused", type = tensor<4xf32>} : () -> ()
"graph.parameter"() {sym_name = "start", type = tensor<4xf32>} : () -> ()
"graph.state"() {sym_name = "count", type = tensor<4xf32>, initial = @start} : () -> ()
func.func private @kernel(%x: tensor<?x4xf32>, %w: tensor<4xf32>, %n: index) -> tensor<?x4xf32> attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c7 = arith.constant 7 : index
  %c8 = arith.constant 8 : index
  %in = "loop.to_buffer"(%x) : (tensor<?x4xf32>) -> memref<?x4xf32>
  %weight = "loop.to_buffer"(%w) : (tensor<4xf32>) -> memref<4xf32>
  %out = memref.alloc(%n) : memref<?x4xf32>
  %rows = memref.dim %in, %c0 : memref<?x4xf32>
  %0 = arith.addi %rows, %c7 : index
  %blocks = arith.divui %0, %c8 : index
  "loop.parallel"(%blocks, %n) ({
  ^bb0(%block: index, %row: index):
    %local = "loop.alloc"() : () -> memref<8xf32, "local">
    %a = memref.load %in[%row, %block] : memref<?x4xf32>
    memref.store %a, %local[%block] : memref<8xf32, "local">
    memref.store %a, %out[%n, %block] : memref<?x4xf32>
    "loop.yield"() {operandSegmentSizes = array<i32: 0>} : () -> ()
  }) {mapping = ["workgroup", "workgroup"]} : (index, index) -> ()
  %1 = "loop.to_tensor"(%out) : (memref<?x4xf32>) -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}
func.func @main(%x: tensor<?x4xf32>, %n: index) -> tensor<?x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4xf32>
  %s = "graph.load_state"() {symbol = @count} : () -> tensor<4xf32>
  "graph.store_state"(%s) {symbol = @count} : (tensor<4xf32>) -> ()
  %0 = call @kernel(%x, %w, %n) : (tensor<?x4xf32>, tensor<4xf32>, index) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
