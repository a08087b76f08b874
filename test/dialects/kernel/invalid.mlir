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
  // expected-error @+1 {{'kernel.schedule' op schedule has unknown keys ['tiles']; known are tile_sizes, block_sizes}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 0, 0>, parallel = [], layouts = [{}], staged = [], order = [], tiles = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule lacks order, staged}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 0, 0>, parallel = [], layouts = [{}]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule tile_sizes must have 2 elements, one for each of m, k}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2>, block_sizes = array<i64: 0, 0>, parallel = [], layouts = [{}], staged = [], order = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule block_sizes must have 2 elements, one for each of m, k}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 2, 0, 0>, parallel = [], layouts = [{}], staged = [], order = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op tile size of 'k' must be positive, got 0}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 0>, block_sizes = array<i64: 0, 0>, parallel = [], layouts = [{}], staged = [], order = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op block size 3 of 'm' must be a multiple of its tile size 2}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 3, 0>, parallel = [], layouts = [{}], staged = [], order = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule parallel must name distinct dimensions of m, k}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 0, 0>, parallel = ["m", "m"], layouts = [{}], staged = [], order = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule order must name distinct dimensions of m, k}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 0, 0>, parallel = [], layouts = [{}], staged = [], order = ["n"]}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op dimension 'k' is a reduction and cannot be parallel}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 0, 0>, parallel = ["k"], layouts = [{}], staged = [], order = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule layouts must have 1 elements, one for each argument}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 0, 0>, parallel = [], layouts = [{}, {}], staged = [], order = []}} : () -> ()
  return
}

// -----

func.func private @kernel(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{'kernel.schedule' op schedule layouts must be {} or have the keys of graph.pack or graph.pad, got {'low': [0]}}}
  "kernel.schedule"() {generator = "g", iteration_space = {names = ["m", "k"], kinds = ["parallel", "reduction"], sizes = array<i64: 4, 8>},
    schedule = {tile_sizes = array<i64: 2, 1>, block_sizes = array<i64: 0, 0>, parallel = [], layouts = [{low = array<i64: 0>}], staged = [], order = []}} : () -> ()
  return
}

// -----

// A schedule makes a function a kernel, and nothing else.
// expected-error @+1 {{'kernel.schedule' op must stand in a func.func}}
"kernel.schedule"() {generator = "g", iteration_space = {names = [], kinds = [], sizes = array<i64>},
  schedule = {}} : () -> ()

// -----

// Entries of other kinds.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{schedule tile_sizes must be an array<i64>, got tiles}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: 4>}, schedule = {tile_sizes = "tiles", block_sizes = array<i64: 0>, parallel = [], staged = [], order = [], layouts = [{}]}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// A name that is none.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{schedule order must be a list of names, got [1]}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: 4>}, schedule = {tile_sizes = array<i64: 4>, block_sizes = array<i64: 0>, parallel = [], staged = [], order = array<i64: 1>, layouts = [{}]}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// A layout that is none.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{schedule layouts must be a list of dictionaries, got ['x']}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: 4>}, schedule = {tile_sizes = array<i64: 4>, block_sizes = array<i64: 0>, parallel = [], staged = [], order = [], layouts = ["x"]}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// A layout of names.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{schedule layouts: low must be an array<i64>, got 3}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: 4>}, schedule = {tile_sizes = array<i64: 4>, block_sizes = array<i64: 0>, parallel = [], staged = [], order = [], layouts = [{low = 3 : i64, high = array<i64: 0>}]}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// A tile that no register file holds.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{tile size of 'm' must be at most 65536, got 9223372036854775807}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["m"], kinds = ["parallel"], sizes = array<i64: 4>}, schedule = {tile_sizes = array<i64: 9223372036854775807>, block_sizes = array<i64: 0>, parallel = [], staged = [], order = [], layouts = [{}]}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// Names of other kinds.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{iteration_space names must be a list of names, got 7}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = 7 : i64, kinds = ["parallel"], sizes = array<i64: 4>}, schedule = {tile_sizes = array<i64: 4>, block_sizes = array<i64: 0>, parallel = [], staged = [], order = [], layouts = [{}]}} : () -> ()
  return %x : tensor<4xf32>
}

// -----

// A name twice.
func.func private @kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{iteration_space must not give a name twice}}
  "kernel.schedule"() {generator = "elementwise", iteration_space = {names = ["m", "m"], kinds = ["parallel", "parallel"], sizes = array<i64: 4, 4>}, schedule = {tile_sizes = array<i64: 4>, block_sizes = array<i64: 0>, parallel = [], staged = [], order = [], layouts = [{}]}} : () -> ()
  return %x : tensor<4xf32>
}
