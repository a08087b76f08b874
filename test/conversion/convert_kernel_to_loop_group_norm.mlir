// RUN: terrace-opt --convert-kernel-to-loop --split-input-file --verify-diagnostics %s | filecheck %s

// Channels before pixels: over the channels of a group, and for each over its pixels in blocks of two tiles and a tail.
// A channel's scale is one number of a tile.
// CHECK-LABEL: func.func private @group_norm
// CHECK:         "loop.parallel"
// CHECK:         %[[FIRST:.*]] = arith.muli %{{.*}}, %c3
// CHECK:         scf.for {{.*}} -> (vector<1x16xf32>)
// CHECK:           scf.for {{.*}} -> (vector<1x16xf32>, vector<1x16xf32>)
// CHECK:             scf.for {{.*}} -> (vector<1x16xf32>)
// CHECK:               "loop.load_tile"({{.*}}) {dims = array<i64: 1, 2>{{.*}} -> vector<1x16xf32>
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "sum"{{.*}} : (vector<1x16xf32>) -> vector<1x1xf32>
// CHECK:         "loop.reduce_tile"({{.*}}) {kind = "sum"{{.*}} : (vector<1x6xf32>) -> vector<1x1xf32>
// CHECK:         math.sqrt
// CHECK:         "loop.load_tile"({{.*}}) {dims = array<i64: 0, -1>{{.*}}memref<12xf32>, index) -> vector<1x16xf32>
// CHECK:         "loop.store_tile"
func.func private @group_norm(%x: tensor<2x12x70xf32>, %w: tensor<12xf32>, %b: tensor<12xf32>) -> tensor<2x12x70xf32> {
  "kernel.schedule"() {generator = "group_norm", iteration_space = {kinds = ["parallel", "parallel", "reduction", "reduction"],
      names = ["n", "g", "c", "s"], sizes = array<i64: 2, 4, 3, 70>}, schedule = {cuts = [
      {memory = "local", order = ["g", "s"], sizes = array<i64: 1, 32>, parallel = ["g"]},
      {memory = "register", order = ["s"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.group_norm"(%x, %w, %b) {axis = 1 : i64, epsilon = 1.0e-5 : f64, groups = 4 : i64}
    : (tensor<2x12x70xf32>, tensor<12xf32>, tensor<12xf32>) -> tensor<2x12x70xf32>
  return %0 : tensor<2x12x70xf32>
}

// -----

// Channels last, of a wide group: vectors of channels, whose last tile is smaller, over an unknown number of pixels.
// CHECK-LABEL: func.func private @wide_groups
// CHECK:         "loop.load_tile"({{.*}}) {dims = array<i64: 1, 2>{{.*}} -> vector<1x32xbf16>
// CHECK:         "loop.reduce_tile"({{.*}} : (vector<1x8xf32>) -> vector<1x1xf32>
// CHECK:         arith.sitofp
// CHECK:         "loop.load_tile"({{.*}}) {dims = array<i64: -1, 0>{{.*}}memref<80xbf16>, index) -> vector<1x32xbf16>
func.func private @wide_groups(%x: tensor<?x?x80xbf16>, %w: tensor<80xbf16>, %b: tensor<80xbf16>, %n: index, %s: index) -> tensor<?x?x80xbf16> {
  "kernel.schedule"() {generator = "group_norm", iteration_space = {kinds = ["parallel", "parallel", "reduction", "reduction"],
      names = ["n", "g", "s", "c"], sizes = array<i64: -9223372036854775808, 2, -9223372036854775808, 40>}, schedule = {cuts = [
      {memory = "local", order = ["s"], sizes = array<i64: 8>},
      {memory = "register", order = ["c"], sizes = array<i64: 32>}]}} : () -> ()
  %0 = "graph.group_norm"(%x, %w, %b) {axis = 2 : i64, epsilon = 1.0e-5 : f64, groups = 2 : i64}
    : (tensor<?x?x80xbf16>, tensor<80xbf16>, tensor<80xbf16>) -> tensor<?x?x80xbf16>
  return %0 : tensor<?x?x80xbf16>
}

// -----

// Channels last, of narrow groups side by side: totals of channels become rows of a group by way of memory, and are
// added there. The last two of five groups are fewer.
// CHECK-LABEL: func.func private @narrow_groups
// CHECK:         scf.for {{.*}} -> (vector<1x12xf32>)
// CHECK:           "loop.load_tile"({{.*}}) {dims = array<i64: 0, 2>{{.*}} -> vector<1x12xf32>
// CHECK:         %[[MEMORY:.*]] = "loop.alloc"() : () -> memref<1x12xf32, "local">
// CHECK:         "loop.store_tile"(%{{.*}}, %[[MEMORY]],
// CHECK:         %[[ROWS:.*]] = "loop.load_tile"(%[[MEMORY]], {{.*}}) {dims = array<i64: 1, 1>, {{.*}}strides = array<i64: 4, 1>} {{.*}} -> vector<3x4xf32>
// CHECK:         "loop.reduce_tile"(%[[ROWS]]) {kind = "sum"{{.*}} : (vector<3x4xf32>) -> vector<3x1xf32>
// CHECK:         "loop.store_tile"(%{{.*}}, %[[MEMORY]], {{.*}}) {dims = array<i64: 1, 1>, {{.*}}strides = array<i64: 4, 1>}
// CHECK:         "loop.load_tile"(%[[MEMORY]], {{.*}} -> vector<1x12xf32>
// CHECK:         -> vector<2x4xf32>
func.func private @narrow_groups(%x: tensor<2x9x20xf32>, %w: tensor<20xf32>, %b: tensor<20xf32>) -> tensor<2x9x20xf32> {
  "kernel.schedule"() {generator = "group_norm", iteration_space = {kinds = ["parallel", "parallel", "reduction", "reduction"],
      names = ["n", "g", "s", "c"], sizes = array<i64: 2, 5, 9, 4>}, schedule = {cuts = [
      {memory = "register", order = ["g"], sizes = array<i64: 3>}]}} : () -> ()
  %0 = "graph.group_norm"(%x, %w, %b) {axis = 2 : i64, epsilon = 1.0e-5 : f64, groups = 5 : i64}
    : (tensor<2x9x20xf32>, tensor<20xf32>, tensor<20xf32>) -> tensor<2x9x20xf32>
  return %0 : tensor<2x9x20xf32>
}

// -----

// Groups of one channel each have nothing to add within.
// CHECK-LABEL: func.func private @instance_norm
// CHECK-NOT:     "loop.alloc"
// CHECK-NOT:     "loop.reduce_tile"
// CHECK:         "loop.store_tile"
func.func private @instance_norm(%x: tensor<2x9x20xf32>, %w: tensor<20xf32>, %b: tensor<20xf32>) -> tensor<2x9x20xf32> {
  "kernel.schedule"() {generator = "group_norm", iteration_space = {kinds = ["parallel", "parallel", "reduction", "reduction"],
      names = ["n", "g", "s", "c"], sizes = array<i64: 2, 20, 9, 1>}, schedule = {cuts = [
      {memory = "register", order = ["g"], sizes = array<i64: 16>}]}} : () -> ()
  %0 = "graph.group_norm"(%x, %w, %b) {axis = 2 : i64, epsilon = 1.0e-5 : f64, groups = 20 : i64}
    : (tensor<2x9x20xf32>, tensor<20xf32>, tensor<20xf32>) -> tensor<2x9x20xf32>
  return %0 : tensor<2x9x20xf32>
}

// -----

// expected-error @+1 {{can have groups side by side only where channels are the last dimension}}
func.func private @kernel(%x: tensor<2x20x9xf32>, %w: tensor<20xf32>, %b: tensor<20xf32>) -> tensor<2x20x9xf32> {
  "kernel.schedule"() {generator = "group_norm", iteration_space = {kinds = ["parallel", "parallel", "reduction", "reduction"],
      names = ["n", "g", "c", "s"], sizes = array<i64: 2, 5, 4, 9>}, schedule = {cuts = [
      {memory = "register", order = ["g"], sizes = array<i64: 2>}]}} : () -> ()
  %0 = "graph.group_norm"(%x, %w, %b) {axis = 1 : i64, epsilon = 1.0e-5 : f64, groups = 5 : i64}
    : (tensor<2x20x9xf32>, tensor<20xf32>, tensor<20xf32>) -> tensor<2x20x9xf32>
  return %0 : tensor<2x20x9xf32>
}
