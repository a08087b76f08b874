// RUN: terrace-opt --split-input-file --verify-diagnostics %s

// Every key of the iteration space is needed.
func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op iteration_space must have the keys names, kinds, sizes}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m"], sizes = array<i64: 4>},
    schedule = {}} : () -> ()
  return
}

// -----

// Names, kinds and sizes belong together.
func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op iteration_space must give a kind and a size for each name}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel"], sizes = array<i64: 4, 8>},
    schedule = {}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op iteration_space kinds must be 'parallel' or 'reduction'}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m"], kinds = ["window"], sizes = array<i64: 4>},
    schedule = {}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op iteration_space sizes must not be negative}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: -4>},
    schedule = {}} : () -> ()
  return
}

// -----

// A misspelt key.
func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule has unknown keys ['tiles']; known are cuts, atom, variant}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [], tiles = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule has unknown keys ['atoms']}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {atoms = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op a cut of the schedule has unknown keys ['size']; known are memory, order, sizes, parallel, enters, leaves}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", size = 3 : i64}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op a cut of the schedule lacks memory}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{order = ["m"], sizes = array<i64: 2>}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op a cut's memory must be one of device, local, register, got l7}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "l7"}]}} : () -> ()
  return
}

// -----

// From the outside to the inside.
func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule cuts must name each memory once, in the order device, local, register}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = ["m"], sizes = array<i64: 2>}, {memory = "local"}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule cuts must name each memory once}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = ["m"], sizes = array<i64: 2>}, {memory = "register", order = ["m"], sizes = array<i64: 2>}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'register': sizes must have 1 elements, one for each of its order}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = ["m"], sizes = array<i64: 2, 1>}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'register': size of 'k' must be positive, got 0}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = ["m", "k"], sizes = array<i64: 2, 0>}]}} : () -> ()
  return
}

// -----

// A tile that no register file holds.
func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'register': size of 'm' must be at most 65536, got 9223372036854775807}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = ["m"], sizes = array<i64: 9223372036854775807>}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op size 3 of 'm' must be a multiple of the 2 of the next cut}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "local", order = ["m"], sizes = array<i64: 3>}, {memory = "register", order = ["m"], sizes = array<i64: 2>}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'local': parallel must name distinct dimensions of its order}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "local", order = ["m"], sizes = array<i64: 2>, parallel = ["m", "m"]}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'local': parallel must name distinct dimensions of its order}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "local", parallel = ["m"]}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'register': order must name distinct dimensions of m, k}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = ["n"], sizes = array<i64: 2>}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op dimension 'k' is a reduction and cannot be parallel}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "local", order = ["k"], sizes = array<i64: 2>, parallel = ["k"]}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'device': enters of 'x' must be one of pack, pack_with_sums, pack_rows, pad, transform, copy with its attributes, got}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "device", enters = {x = {fold = {}}}}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'device': enters of 'x': pad must have high, low, got {'low': [0]}}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "device", enters = {x = {pad = {low = array<i64: 0>}}}}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'local': enters of 'x': copy must have no attributes, got {'low': [0]}}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "local", enters = {x = {copy = {low = array<i64: 0>}}}}]}} : () -> ()
  return
}

// -----

// Entries of other kinds.
func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule cuts must be a list, got all}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = "all"}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule cuts must be dictionaries, got all}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = ["all"]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'register': sizes must be an array<i64>, got tiles}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = ["m"], sizes = "tiles"}]}} : () -> ()
  return
}

// -----

// A name that is none.
func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'register': order must be a list of names, got [1]}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "register", order = array<i64: 1>, sizes = array<i64: 2>}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'device': enters must be a dictionary of packings, got x}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "device", enters = "x"}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op cut of 'device': enters of 'x': low must be an array<i64>, got 3}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {cuts = [{memory = "device", enters = {x = {pad = {low = 3 : i64, high = array<i64: 0>}}}}]}} : () -> ()
  return
}

// -----

// A schedule makes a function a kernel, and nothing else.
// expected-error @+1 {{'kernel.schedule' op must stand in a func.func}}
"kernel.schedule"() {generator = "g", iteration_space = {names = [], kinds = [], sizes = array<i64>},
  schedule = {}} : () -> ()

// -----

// Names of other kinds.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{iteration_space names must be a list of names, got 7}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = 7 : i64, kinds = ["parallel"], sizes = array<i64: 4>}, schedule = {}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// A name twice.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{iteration_space must not give a name twice}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["m", "m"], kinds = ["parallel", "parallel"], sizes = array<i64: 4, 4>}, schedule = {}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

func.func private @kernel(%x: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error @+1 {{'kernel.schedule' op cut of 'local': leaves of 'result' must be one of sums, terms with its attributes, got {'copy': {}}}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["d0"], kinds = ["parallel"], sizes = array<i64: 8>},
    schedule = {cuts = [{memory = "local", leaves = {result = {copy = {}}}}]}} : () -> ()
  %0 = "graph.relu"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}
