// expected-error @+1 {{'func.func' op @f has a dynamic size; hardware needs static shapes}}
func.func private @f(%x: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  "kernel.schedule"() {generator = "elementwise", iteration_space = {kinds = ["parallel"], names = ["d0"], sizes = array<i64: -9223372036854775808>}, schedule = {}} : () -> ()
  %0 = "graph.exp"(%x) : (tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
