// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels{winograd=false})' %s | filecheck %s
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels{winograd=false vector-bits=256 vector-registers=16 workers=4})' %s | filecheck %s --check-prefix=AVX2
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels{winograd=false local-bytes=16384})' %s | filecheck %s --check-prefix=LOCAL
// RUN: terrace-opt --pass-pipeline='builtin.module(convert-graph-to-kernel,schedule-kernels{winograd=false},schedule-kernels{workers=64})' %s | filecheck %s

// One worker: no blocks but those that staging needs, and vectors of 16 lanes. Scheduling again changes nothing.
// Short rows lie side by side, as many as leave no rest. The terms of a row's sum stay in local memory if they fit.
// CHECK-LABEL: func.func private @softmax_dx32
// CHECK:         [{leaves = {result = {terms = {}}}, memory = "local"}, {memory = "register", order = ["m", "n"], sizes = array<i64: 1, 32>}]
// CHECK-LABEL: func.func private @softmax_6x32
// CHECK:         {memory = "register", order = ["m", "n"], sizes = array<i64: 3, 32>}]
// CHECK-LABEL: func.func private @softmax_2x400000
// CHECK-NOT:     leaves
// CHECK:         order = ["n"], sizes = array<i64: {{[0-9]+}}>}, {memory = "register", order = ["m", "n"], sizes = array<i64: 1, 64>}]
// CHECK-LABEL: func.func private @softmax_7x4096
// CHECK:         [{leaves = {result = {terms = {}}}, memory = "local", order = ["n"], sizes = array<i64: 1024>}, {memory = "register", order = ["m", "n"], sizes = array<i64: 1, 64>}]
// CHECK-LABEL: func.func private @softmax_1536x197
// CHECK:         [{leaves = {result = {terms = {}}}, memory = "local"}, {memory = "register", order = ["m", "n"], sizes = array<i64: 2, 64>}]
// CHECK-LABEL: func.func private @relu_1572864
// CHECK:         schedule = {cuts = [{memory = "register", order = ["d0"], sizes = array<i64: 64>}]}
// CHECK-LABEL: func.func private @batch_matmul_12x128x128
// CHECK:         [{enters = {rhs = {copy = {}}}, memory = "local", order = ["b", "n"], parallel = ["b", "n"], sizes = array<i64: 1, 128>}
// CHECK-LABEL: func.func private @matmul_128x3072
// CHECK:         [{enters = {rhs = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 48>{{.*}} memory = "device"},
// CHECK-SAME:    {memory = "register", order = ["n", "m", "k"], sizes = array<i64: 48, 8, 1>}]
// CHECK-LABEL: func.func private @conv2d_1x28x28x96
// CHECK:         {weight = {pack = {inner_dims = array<i64: 0>, inner_tiles = array<i64: 16>, outer_permutation = array<i64: 0, 2, 3, 1>}}}
// CHECK-SAME:    {memory = "local", order = ["n"], parallel = ["n"], sizes = array<i64: 1>},
// CHECK-SAME:    order = ["g", "oh", "ow", "kw"], sizes = array<i64: 16, 1, 14, 3>
// CHECK-LABEL: func.func private @conv2d_1x56x56x64
// CHECK:         {enters = {input = {copy = {}}}, memory = "local", order = ["n", "oh"], parallel = ["n", "oh"], sizes = array<i64: 1, 28>},
// CHECK-SAME:    order = ["g", "oc", "oh", "ow", "kw", "ic"], sizes = array<i64: 1, 32, 1, 14, 1, 1>

// Four workers share blocks; vectors have 8 lanes, and half the registers hold smaller tiles.
// AVX2-LABEL:  func.func private @relu_1572864
// AVX2:          order = ["d0"], parallel = ["d0"], sizes = array<i64: 393216>{{.*}} order = ["d0"], sizes = array<i64: 32>
// AVX2-LABEL:  func.func private @matmul_128x3072
// AVX2:          order = ["n"], parallel = ["n"], sizes = array<i64: 192>{{.*}} order = ["n", "m", "k"], sizes = array<i64: 16, 4, 1>
// AVX2-LABEL:  func.func private @conv2d_1x56x56x64
// AVX2:          order = ["n", "oh"], parallel = ["n", "oh"], sizes = array<i64: 1, 3>{{.*}} sizes = array<i64: 1, 16, 1, 4, 1, 1>

// Where not even one row of tiles fits local memory, the image is padded before; less of rhs is staged at a time.
// LOCAL-LABEL: func.func private @batch_matmul_12x128x128
// LOCAL:         order = ["b", "n"], parallel = ["b", "n"], sizes = array<i64: 1, 64>
// LOCAL-LABEL: func.func private @conv2d_1x56x56x64
// LOCAL:         [{enters = {input = {pad = {high = array<i64: 0, 1, 1, 0>, low = array<i64: 0, 1, 1, 0>}}, weight =
// LOCAL-SAME:    {memory = "local"
"graph.parameter"() {sym_name = "c", type = tensor<64x64x3x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "d", type = tensor<96x1x3x3xf32>} : () -> ()
"graph.parameter"() {sym_name = "w", type = tensor<3072x768xf32>} : () -> ()
func.func @main(%image: tensor<1x56x56x64xf32>, %deep: tensor<1x28x28x96xf32>, %x: tensor<128x768xf32>,
                %q: tensor<12x128x64xf32>, %k: tensor<12x128x64xf32>, %z: tensor<512x3072xf32>,
                %short: tensor<1536x197xf32>, %long: tensor<7x4096xf32>, %longer: tensor<2x400000xf32>,
                %few: tensor<6x32xf32>, %unknown: tensor<?x32xf32>) {
  %c = "graph.load"() {symbol = @c} : () -> tensor<64x64x3x3xf32>
  %d = "graph.load"() {symbol = @d} : () -> tensor<96x1x3x3xf32>
  %w = "graph.load"() {symbol = @w} : () -> tensor<3072x768xf32>
  %0 = "graph.conv2d"(%image, %c) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 1 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x56x56x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x56x56x64xf32>
  %1 = "graph.conv2d"(%deep, %d) {strides = array<i64: 1, 1>, padding = array<i64: 1, 1, 1, 1>, groups = 96 : i64,
    dilations = array<i64: 1, 1>, layout = "NHWC"} : (tensor<1x28x28x96xf32>, tensor<96x1x3x3xf32>) -> tensor<1x28x28x96xf32>
  %2 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<128x768xf32>, tensor<3072x768xf32>) -> tensor<128x3072xf32>
  %3 = "graph.batch_matmul"(%q, %k) {transpose_rhs = true} : (tensor<12x128x64xf32>, tensor<12x128x64xf32>) -> tensor<12x128x128xf32>
  %4 = "graph.relu"(%z) : (tensor<512x3072xf32>) -> tensor<512x3072xf32>
  %5 = "graph.softmax"(%short) {axis = 1 : i64} : (tensor<1536x197xf32>) -> tensor<1536x197xf32>
  %6 = "graph.softmax"(%long) {axis = 1 : i64} : (tensor<7x4096xf32>) -> tensor<7x4096xf32>
  %7 = "graph.softmax"(%longer) {axis = 1 : i64} : (tensor<2x400000xf32>) -> tensor<2x400000xf32>
  %8 = "graph.softmax"(%few) {axis = 1 : i64} : (tensor<6x32xf32>) -> tensor<6x32xf32>
  %9 = "graph.softmax"(%unknown) {axis = 1 : i64} : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return
}
