// RUN: terrace-opt --convert-kernel-to-loop --split-input-file %s | filecheck %s

// Three passes over a row: the maximum, the sum of exponentials, the result.
// CHECK-LABEL: func.func private @softmax
// CHECK:         "loop.parallel"
// CHECK:         scf.for %[[ROW:.*]] =
// CHECK:           "loop.load_tile"({{.*}}) {dims = array<i64: 0, 1>{{.*}} -> vector<1x64xf32>
// CHECK:           arith.cmpf ogt
// CHECK:           "loop.reduce_tile"({{.*}}) {kind = "max"{{.*}} : (vector<1x64xf32>) -> vector<1x1xf32>
// CHECK:           "loop.broadcast_tile"
// CHECK:           math.exp
// CHECK:           "loop.reduce_tile"({{.*}}) {kind = "sum"
// CHECK:           arith.divf
// CHECK:           "loop.store_tile"
func.func private @softmax(%x: tensor<8x128xf32>) -> tensor<8x128xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 8, 128>}, schedule = {cuts = [
      {memory = "local", order = ["m"], sizes = array<i64: 4>, parallel = ["m"]},
      {memory = "register", order = ["n"], sizes = array<i64: 64>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<8x128xf32>) -> tensor<8x128xf32>
  return %0 : tensor<8x128xf32>
}

// -----

// Another tile size, all rows in one workgroup: other loops. The tail of a row has a tile of its own size.
// CHECK-LABEL: func.func private @softmax_wide_tile
// CHECK:         "loop.parallel"() ({
// CHECK:           -> vector<1x96xf32>
// CHECK:           "loop.reduce_tile"({{.*}} : (vector<1x96xf32>) -> vector<1x1xf32>
// CHECK:           "loop.reduce_tile"({{.*}} : (vector<1x32xf32>) -> vector<1x1xf32>
func.func private @softmax_wide_tile(%x: tensor<8x128xf32>) -> tensor<8x128xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 8, 128>}, schedule = {cuts = [
      {memory = "register", order = ["n"], sizes = array<i64: 96>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<8x128xf32>) -> tensor<8x128xf32>
  return %0 : tensor<8x128xf32>
}

// -----

// Two rows side by side, and one in the tail; exponentials are computed once, and stay in local memory.
// CHECK-LABEL: func.func private @softmax_kept
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "max"{{.*}} : (vector<2x64xf32>) -> vector<2x1xf32>
// CHECK:         %[[KEPT:.*]] = "loop.alloc"() : () -> memref<2x128xf32, "local">
// CHECK:         math.exp
// CHECK:         "loop.store_tile"(%{{.*}}, %[[KEPT]],
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "sum"
// CHECK-NOT:     math.exp
// CHECK:         "loop.load_tile"(%[[KEPT]],
// CHECK:         "loop.store_tile"
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "max"{{.*}} : (vector<1x64xf32>) -> vector<1x1xf32>
func.func private @softmax_kept(%x: tensor<9x128xf32>) -> tensor<9x128xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 9, 128>}, schedule = {cuts = [
      {memory = "local", leaves = {result = {terms = {}}}},
      {memory = "register", order = ["m", "n"], sizes = array<i64: 2, 64>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<9x128xf32>) -> tensor<9x128xf32>
  return %0 : tensor<9x128xf32>
}

// -----

// A row longer than a page: that of the next row is asked for while exponentials are computed.
// CHECK-LABEL: func.func private @softmax_ahead
// CHECK:         "loop.alloc"() : () -> memref<1x1024xf32, "local">
// CHECK:         %[[NEXT:.*]] = arith.minui
// CHECK:         memref.prefetch %{{.*}}[%[[NEXT]], %{{.*}}], read, locality<3>, data
// CHECK:         math.exp
func.func private @softmax_ahead(%x: tensor<9x1024xf32>) -> tensor<9x1024xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 9, 1024>}, schedule = {cuts = [
      {memory = "local", leaves = {result = {terms = {}}}},
      {memory = "register", order = ["m", "n"], sizes = array<i64: 1, 64>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<9x1024xf32>) -> tensor<9x1024xf32>
  return %0 : tensor<9x1024xf32>
}

// -----

// Lines along the middle: nothing is reduced within a tile. The first pass copies the input to local memory, where the
// exponentials take its place.
// CHECK-LABEL: func.func private @softmax_of_lines
// CHECK:         %[[COPY:.*]] = "loop.alloc"() : () -> memref<50x1x32xf32, "local">
// CHECK:         scf.for
// CHECK:           %[[X:.*]] = "loop.load_tile"(%{{.*}}, %{{.*}}, %[[AT:.*]], %{{.*}}) {dims = array<i64: 0, 2>{{.*}} -> vector<1x32xf32>
// CHECK:           "loop.store_tile"(%[[X]], %[[COPY]], %[[AT]],
// CHECK:           arith.cmpf ogt
// CHECK-NOT:     "loop.reduce_tile"
// CHECK:           "loop.load_tile"(%[[COPY]],
// CHECK:           math.exp
// CHECK:           "loop.store_tile"(%{{.*}}, %[[COPY]],
// CHECK-NOT:     math.exp
// CHECK:           "loop.load_tile"(%[[COPY]],
// CHECK:           "loop.store_tile"
// CHECK:         "loop.alloc"() : () -> memref<50x1x8xf32, "local">
func.func private @softmax_of_lines(%x: tensor<3x50x40xf32>) -> tensor<3x50x40xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction", "parallel"], names = ["m", "n", "l"], sizes = array<i64: 3, 50, 40>}, schedule = {cuts = [
      {memory = "local", enters = {input = {copy = {}}}, leaves = {result = {terms = {}}}},
      {memory = "register", order = ["l"], sizes = array<i64: 32>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<3x50x40xf32>) -> tensor<3x50x40xf32>
  return %0 : tensor<3x50x40xf32>
}

// -----

// Of unknown sizes, lines are read in each pass, and the sum is made in blocks; the last tile has some of its lines.
// CHECK-LABEL: func.func private @softmax_of_unknown_lines
// CHECK-NOT:     "loop.alloc"
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} -> (vector<2x16xf32>)
// CHECK:           scf.for {{.*}} -> (vector<2x16xf32>, vector<2x16xf32>)
// CHECK:             arith.minui
// CHECK:             math.exp
// CHECK:           math.exp
func.func private @softmax_of_unknown_lines(%x: tensor<4x?x?xf32>, %n: index, %l: index) -> tensor<4x?x?xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction", "parallel"], names = ["m", "n", "l"], sizes = array<i64: 4, -9223372036854775808, -9223372036854775808>}, schedule = {cuts = [
      {memory = "local", order = ["n"], sizes = array<i64: 16>},
      {memory = "register", order = ["m", "l"], sizes = array<i64: 2, 16>}]}} : () -> ()
  %0 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<4x?x?xf32>) -> tensor<4x?x?xf32>
  return %0 : tensor<4x?x?xf32>
}

// -----

// With rows of unknown length, the tail is a tile of which the first elements count.
// CHECK-LABEL: func.func private @rms_norm
// CHECK:         %[[LENGTH:.*]] = memref.dim
// CHECK:         arith.remui
// CHECK:         "loop.reduce_tile"(%{{[0-9]+}}) {kind = "sum"
// CHECK:         "loop.reduce_tile"(%{{[0-9]+}}, %{{.*}}, %{{.*}}) {kind = "sum"
// CHECK:         arith.sitofp
// CHECK:         math.sqrt
func.func private @rms_norm(%x: tensor<4x?xf32>, %scale: tensor<?xf32>, %n: index) -> tensor<4x?xf32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 4, -9223372036854775808>}, schedule = {cuts = [
      {memory = "local", order = ["m"], sizes = array<i64: 1>, parallel = ["m"]},
      {memory = "register", order = ["n"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.rms_norm"(%x, %scale) {epsilon = 1.000000e-06 : f64} : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  return %0 : tensor<4x?xf32>
}

// -----

// On integers: the largest as i8, exponentials by a table summed in i32, one division in i64.
// CHECK-LABEL: func.func private @integer_softmax
// CHECK:         arith.maxsi {{.*}} : vector<1x64xi8>
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "max"{{.*}} : (vector<1x64xi8>) -> vector<1x1xi8>
// CHECK:         "loop.lookup_tile"({{.*}}) {table = {{.*}} : (vector<1x64xi32>) -> vector<1x64xi32>
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "sum"{{.*}} : (vector<1x64xi32>) -> vector<1x1xi32>
// CHECK:         arith.divsi {{.*}} : vector<1x1xi64>
// CHECK:         "loop.lookup_tile"
// CHECK:         "loop.store_tile"({{.*}} : (vector<1x64xi8>, memref<8x128xi8>
func.func private @integer_softmax(%x: tensor<8x128xi8>) -> tensor<8x128xi8> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 8, 128>}, schedule = {cuts = [
      {memory = "local", order = ["m"], sizes = array<i64: 4>, parallel = ["m"]},
      {memory = "register", order = ["n"], sizes = array<i64: 64>}]}} : () -> ()
  %0 = "graph.integer_softmax"(%x) {axis = 1 : i64, table = dense<65536> : tensor<256xi32>} : (tensor<8x128xi8>) -> tensor<8x128xi8>
  return %0 : tensor<8x128xi8>
}

// -----

// The root in a loop over its 31 bits, the highest first; what is left of the number is carried along, no product made.
// CHECK-LABEL: func.func private @integer_layer_norm
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "sum"{{.*}} : (vector<1x64xi32>) -> vector<1x1xi32>
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "sum"{{.*}} : (vector<1x64xi64>) -> vector<1x1xi64>
// CHECK:         scf.for {{.*}} to %c31 {{.*}} iter_args({{.*}}) -> (vector<1x1xi64>, vector<1x1xi64>)
// CHECK-NOT:       arith.muli
// CHECK:           arith.cmpi sle
// CHECK:           arith.select
// CHECK:           arith.subi
// CHECK:           arith.select
// CHECK:         arith.divsi
// CHECK:         "loop.store_tile"({{.*}} : (vector<1x64xi32>, memref<8x128xi32>
func.func private @integer_layer_norm(%x: tensor<8x128xi8>) -> tensor<8x128xi32> {
  "kernel.schedule"() {generator = "row_reduction", iteration_space = {kinds = ["parallel", "reduction"], names = ["m", "n"], sizes = array<i64: 8, 128>}, schedule = {cuts = [
      {memory = "local", order = ["m"], sizes = array<i64: 4>, parallel = ["m"]},
      {memory = "register", order = ["n"], sizes = array<i64: 64>}]}} : () -> ()
  %0 = "graph.integer_layer_norm"(%x) {dims = 1 : i64, epsilon = 5 : i64} : (tensor<8x128xi8>) -> tensor<8x128xi32>
  return %0 : tensor<8x128xi32>
}
