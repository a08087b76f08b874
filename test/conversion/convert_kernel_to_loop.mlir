// RUN: terrace-opt --convert-kernel-to-loop %s | filecheck %s
// Edits of the kernels' text, each of which makes other loops; that results stay is held by test_generators.py.
// RUN: sed -e 's/sizes = array<i64: 16, 4, 1>/sizes = array<i64: 8, 2, 3>/' -e 's/sizes = array<i64: 8, 4, 1>/sizes = array<i64: 4, 1, 1>/' -e 's/"ow"\], sizes = array<i64: 16, 1, 4>/"ow", "ic"], sizes = array<i64: 8, 2, 2, 5>/' -e 's/order = \["d1"\], sizes = array<i64: 8>/order = ["d0", "d1"], sizes = array<i64: 3, 4>/' %s | terrace-opt --convert-kernel-to-loop | filecheck %s --check-prefix=TILES
// RUN: sed -e 's/{rhs = {pack = [^}]*}}}/{}/' -e 's/, enters = {rhs = {copy = {}}}//' -e 's/, enters = {input = {copy = {}}}//' -e 's/schedule = {cuts = \[ \/\/ padded/schedule = {cuts = [{memory = "device", enters = {input = {pad = {low = array<i64: 0, 1, 1, 0>, high = array<i64: 0, 1, 1, 0>}}}},/' %s | terrace-opt --convert-kernel-to-loop | filecheck %s --check-prefix=LAYOUTS
// RUN: sed -e 's/, parallel = \["n"\]//' -e 's/order = \["b", "n"\], sizes = array<i64: 1, 8>, parallel = \["b", "n"\]/order = ["n", "b"], sizes = array<i64: 8, 1>, parallel = ["n", "b"]/' -e 's/parallel = \["n", "oh"\]/parallel = ["oh"]/' -e 's/order = \["d0"\], sizes = array<i64: 3>, parallel = \["d0"\]/order = ["d1", "d0"], sizes = array<i64: 16, 3>, parallel = ["d1", "d0"]/' %s | terrace-opt --convert-kernel-to-loop | filecheck %s --check-prefix=PARALLEL

// A workgroup takes 16 columns; a tile stays in registers over all of k; the epilogue runs on it; the last 8 columns
// have loops of their own.
// CHECK-LABEL: func.func private @matmul
// CHECK-SAME:    %arg1: tensor<2x6x32xf32>{{.*}} attributes {loop.kernel}
// CHECK:         "loop.parallel"(%c3)
// CHECK:           scf.for {{.*}} step %c16
// CHECK:             %[[ACC:.*]] = scf.for {{.*}} -> (vector<4x16xf32>)
// CHECK:               "loop.load_tile"({{.*}}) {dims = array<i64: 0, 1>{{.*}} -> vector<4x1xf32>
// CHECK:               "loop.load_tile"({{.*}}) {dims = array<i64: 1, 2>{{.*}} -> vector<1x16xf32>
// CHECK:               "loop.contract_tile"
// CHECK:             %[[BIAS:.*]] = "loop.load_tile"({{.*}}) {dims = array<i64: -1, 1>{{.*}} -> vector<4x16xf32>
// CHECK:             %[[SUM:.*]] = arith.addf %[[ACC]], %[[BIAS]]
// CHECK:             "loop.store_tile"(%[[SUM]]
// CHECK:           scf.if
// CHECK:             vector<4x8xf32>
// TILES-LABEL: func.func private @matmul
// TILES:         scf.for {{.*}} -> (vector<2x8xf32>)
// TILES:           -> vector<2x3xf32>
// TILES:           -> vector<3x8xf32>
// LAYOUTS-LABEL: func.func private @matmul
// LAYOUTS-SAME:  %arg1: tensor<6x40xf32>
// LAYOUTS:       "loop.load_tile"({{.*}}) {dims = array<i64: 0, 1>{{.*}} -> vector<1x16xf32>
// Without a parallel dimension, one workgroup takes block after block.
// PARALLEL-LABEL: func.func private @matmul
// PARALLEL:      "loop.parallel"() ({
// PARALLEL-NEXT:   scf.for %{{.*}} = %c0 to %c40 step %c16
func.func private @matmul(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>, %b: tensor<1x40xf32>) -> tensor<4x40xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["m", "n", "k"], kinds = ["parallel", "parallel", "reduction"], sizes = array<i64: 4, 40, 6>},
    schedule = {cuts = [
      {memory = "device", enters = {rhs = {pack = {inner_dims = array<i64: 1>, inner_tiles = array<i64: 32>, outer_permutation = array<i64: 1, 0>}}}},
      {memory = "local", order = ["n"], sizes = array<i64: 16>, parallel = ["n"]},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>}]}} : () -> ()
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = false} : (tensor<4x6xf32>, tensor<6x40xf32>) -> tensor<4x40xf32>
  %1 = "graph.add"(%0, %b) : (tensor<4x40xf32>, tensor<1x40xf32>) -> tensor<4x40xf32>
  return %1 : tensor<4x40xf32>
}

// The columns of rhs, which lie apart, are first gathered into local memory; the rows' number is known at run time.
// CHECK-LABEL: func.func private @batch_matmul
// CHECK-SAME:    (%arg0: tensor<?x?x16xf32>, %arg1: tensor<?x8x16xf32>, %arg2: index, %arg3: index)
// CHECK:         %[[OUT:.*]] = memref.alloc(%arg2, %arg3) : memref<?x?x8xf32>
// CHECK:         "loop.parallel"(%{{.*}}, %c1
// CHECK:           %[[LOCAL:.*]] = "loop.alloc"() : () -> memref<1x16x8xf32, "local">
// CHECK:           %[[COLUMNS:.*]] = "loop.load_tile"({{.*}}) {dims = array<i64: 2, 1>{{.*}} -> vector<16x8xf32>
// CHECK:           "loop.store_tile"(%[[COLUMNS]], %[[LOCAL]]
// CHECK:           "loop.load_tile"(%[[LOCAL]]
// The tail is a whole tile that knows how many rows it has.
// CHECK:           scf.if
// CHECK:             "loop.store_tile"(%{{.*}}, %[[OUT]], {{.*}}operandSegmentSizes = array<i32: 1, 1, 3, 2>
// TILES-LABEL: func.func private @batch_matmul
// TILES:         memref<2x16x4xf32, "local">
// TILES:         scf.for {{.*}} -> (vector<1x4xf32>)
// LAYOUTS-LABEL: func.func private @batch_matmul
// LAYOUTS-NOT:   loop.alloc
// LAYOUTS:       "loop.load_tile"({{.*}}) {dims = array<i64: 2, 1>{{.*}} -> vector<1x8xf32>
// PARALLEL-LABEL: func.func private @batch_matmul
// PARALLEL:      "loop.parallel"(%c1{{.*}}, %{{.*}}) ({
func.func private @batch_matmul(%q: tensor<?x?x16xf32>, %k: tensor<?x8x16xf32>, %b: index, %m: index) -> tensor<?x?x8xf32> {
  "kernel.schedule"() {generator = "matmul", iteration_space = {
      names = ["b", "m", "n", "k"], kinds = ["parallel", "parallel", "parallel", "reduction"],
      sizes = array<i64: -9223372036854775808, -9223372036854775808, 8, 16>},
    schedule = {cuts = [
      {memory = "local", order = ["b", "n"], sizes = array<i64: 1, 8>, parallel = ["b", "n"], enters = {rhs = {copy = {}}}},
      {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 8, 4, 1>}]}} : () -> ()
  %0 = "graph.batch_matmul"(%q, %k) {transpose_rhs = true} : (tensor<?x?x16xf32>, tensor<?x8x16xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// A workgroup copies the rows it needs, padded, into local memory, then keeps 4 pixels by 16 channels in registers over
// the window and the input channels.
// CHECK-LABEL: func.func private @conv2d
// CHECK:         "loop.parallel"(%c1{{.*}}, %c2{{.*}})
// CHECK:           %[[LOCAL:.*]] = "loop.alloc"() : () -> memref<6x10x5xf32, "local">
// CHECK:           scf.if
// CHECK:           } else {
// CHECK:           scf.for {{.*}} -> (vector<1x4x16xf32>)
// CHECK:             scf.for {{.*}} -> (vector<1x4x16xf32>)
// CHECK:               scf.for {{.*}} -> (vector<1x4x16xf32>)
// CHECK:                 "loop.load_tile"(%[[LOCAL]], {{.*}}) {dims = array<i64: 0, 1, 2>{{.*}} -> vector<1x4x1xf32>
// CHECK:                 "loop.contract_tile"
// CHECK:           arith.maximumf
// CHECK:           "loop.store_tile"{{.*}}dims = array<i64: 1, 2, 3>
// TILES-LABEL: func.func private @conv2d
// TILES:         -> vector<2x2x5xf32>
// TILES:         "loop.contract_tile"({{.*}}) : (vector<2x2x5xf32>, vector<5x8xf32>, vector<2x2x8xf32>)
// LAYOUTS-LABEL: func.func private @conv2d
// LAYOUTS-SAME:  %arg0: tensor<1x10x10x5xf32>
// LAYOUTS-NOT:   loop.alloc
// PARALLEL-LABEL: func.func private @conv2d
// PARALLEL:      "loop.parallel"(%c2{{.*}}) ({
func.func private @conv2d(%x: tensor<1x8x8x5xf32>, %w: tensor<16x5x3x3xf32>, %y: tensor<1x8x8x16xf32>) -> tensor<1x8x8x16xf32> {
  "kernel.schedule"() {generator = "conv2d", iteration_space = {names = ["n", "g", "oh", "ow", "oc", "kh", "kw", "ic"],
      kinds = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"],
      sizes = array<i64: 1, 1, 8, 8, 16, 3, 3, 5>},
    schedule = {cuts = [ // padded
      {memory = "local", order = ["n", "oh"], sizes = array<i64: 1, 4>, parallel = ["n", "oh"], enters = {input = {copy = {}}}},
      {memory = "register", order = ["oc", "oh", "ow"], sizes = array<i64: 16, 1, 4>}]}} : () -> ()
  %0 = "graph.conv2d"(%x, %w) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x8x8x5xf32>, tensor<16x5x3x3xf32>) -> tensor<1x8x8x16xf32>
  %1 = "graph.maximum"(%0, %y) : (tensor<1x8x8x16xf32>, tensor<1x8x8x16xf32>) -> tensor<1x8x8x16xf32>
  return %1 : tensor<1x8x8x16xf32>
}

// An operand that broadcasts is repeated along the dimension; a tile of what is left over ends each row.
// CHECK-LABEL: func.func private @elementwise
// CHECK:         "loop.parallel"(%c2{{.*}}) ({
// CHECK:           scf.for
// CHECK:             "loop.load_tile"({{.*}}) {dims = array<i64: -1, 1>{{.*}} -> vector<1x8xf32>
// CHECK:             math.exp
// CHECK:           -> vector<1x3xf32>
// TILES-LABEL: func.func private @elementwise
// TILES:         vector<3x4xf32>
// TILES:         vector<3x3xf32>
// LAYOUTS-LABEL: func.func private @elementwise
// PARALLEL-LABEL: func.func private @elementwise
// PARALLEL:      "loop.parallel"(%c1{{.*}}, %c2{{.*}}) ({
func.func private @elementwise(%x: tensor<6x11xf32>, %y: tensor<1x11xf32>) -> tensor<6x11xf32> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {
      names = ["d0", "d1"], kinds = ["parallel", "parallel"], sizes = array<i64: 6, 11>},
    schedule = {cuts = [
      {memory = "local", order = ["d0"], sizes = array<i64: 3>, parallel = ["d0"]},
      {memory = "register", order = ["d1"], sizes = array<i64: 8>}]}} : () -> ()
  %0 = "graph.add"(%x, %y) : (tensor<6x11xf32>, tensor<1x11xf32>) -> tensor<6x11xf32>
  %1 = "graph.exp"(%0) : (tensor<6x11xf32>) -> tensor<6x11xf32>
  return %1 : tensor<6x11xf32>
}

// Layouts are made where the kernel is launched.
// CHECK-LABEL: func.func @main
// CHECK:         %[[PACKED:.*]] = "graph.pack"(%arg1) {{.*}} -> tensor<2x6x32xf32>
// CHECK:         call @matmul(%arg0, %[[PACKED]], %arg2)
// LAYOUTS-LABEL: func.func @main
// LAYOUTS-NOT:   graph.pack
// LAYOUTS:       %[[PADDED:.*]] = "graph.pad"(%arg3) {{.*}} -> tensor<1x10x10x5xf32>
// LAYOUTS:       call @conv2d(%[[PADDED]], %arg4, %arg5)
func.func @main(%x: tensor<4x6xf32>, %w: tensor<6x40xf32>, %b: tensor<1x40xf32>,
                %i: tensor<1x8x8x5xf32>, %f: tensor<16x5x3x3xf32>, %y: tensor<1x8x8x16xf32>) {
  %0 = call @matmul(%x, %w, %b) : (tensor<4x6xf32>, tensor<6x40xf32>, tensor<1x40xf32>) -> tensor<4x40xf32>
  %1 = call @conv2d(%i, %f, %y) : (tensor<1x8x8x5xf32>, tensor<16x5x3x3xf32>, tensor<1x8x8x16xf32>) -> tensor<1x8x8x16xf32>
  return
}
