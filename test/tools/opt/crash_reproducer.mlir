// RUN: rm -f %t.mlir
// RUN: not terrace-opt --pass-pipeline='builtin.module(func.func(canonicalize,cse),verify-level{level=loop},symbol-dce)' --mlir-pass-pipeline-crash-reproducer=%t.mlir %s 2>&1 | filecheck %s --check-prefix=SAID
// RUN: filecheck %s --check-prefix=WHOLE <%t.mlir
// RUN: not terrace-opt --pass-pipeline='builtin.module(func.func(canonicalize,cse),verify-level{level=loop})' --mlir-pass-pipeline-crash-reproducer=%t.mlir --mlir-pass-pipeline-local-reproducer %s 2>/dev/null
// RUN: filecheck %s --check-prefix=LOCAL <%t.mlir
// RUN: %python -c "import subprocess, sys; line = open(r'%t.mlir').readline(); sys.exit(subprocess.run(line.removeprefix('// '), shell=True).returncode != 1)" 2>&1 | filecheck %s --check-prefix=AGAIN
// RUN: not terrace-opt --load-pass-plugin=%S/Inputs/count_ops.py --count-ops=at-most=1 --allow-unregistered-dialect --verify-each=0 --mlir-pass-pipeline-crash-reproducer=%t.mlir %s 2>/dev/null
// RUN: filecheck %s --check-prefix=FLAGS <%t.mlir
// RUN: rm %t.mlir
// RUN: terrace-opt --canonicalize --cse --mlir-pass-pipeline-crash-reproducer=%t.mlir %s | filecheck %s --check-prefix=GOOD
// RUN: not cat %t.mlir
// RUN: %python -c "import subprocess, sys; sys.exit(subprocess.run(['terrace-opt', *sys.argv[1:]]).returncode != 1)" --load-pass-plugin=%S/Inputs/die.py --cse --die --mlir-pass-pipeline-crash-reproducer=%t.mlir %s
// RUN: filecheck %s --check-prefix=DIED <%t.mlir
// RUN: not terrace-opt --mlir-pass-pipeline-local-reproducer %s 2>&1 | filecheck %s --check-prefix=USAGE

// The file holds the module before all passes, or before the one that failed, and a command that runs as it stands.
// SAID: error: 'graph.softmax' op is not legal
// SAID: note: {{.*}}.mlir holds the module and the command that fails
// WHOLE: // terrace-opt {{.*}}.mlir --pass-pipeline='builtin.module(func.func(canonicalize,cse),verify-level{level=loop},symbol-dce)'
// WHOLE: arith.addf
// LOCAL: // terrace-opt {{.*}}.mlir --pass-pipeline='builtin.module(verify-level{level=loop})'
// LOCAL-NOT: arith.addf
// LOCAL: graph.softmax
// AGAIN: error: 'graph.softmax' op is not legal at the level 'loop'

// Flags without which it would fail otherwise are there. When all is well there is no file; when the process dies, there is.
// FLAGS: --load-pass-plugin={{.*}}count_ops.py --verify-each=false --allow-unregistered-dialect
// GOOD: graph.softmax
// DIED: --pass-pipeline='builtin.module(cse,die)'
// USAGE: flag '--mlir-pass-pipeline-local-reproducer' needs --mlir-pass-pipeline-crash-reproducer=FILE
func.func @main(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = arith.addf %x, %x : tensor<4x4xf32>
  %1 = "graph.softmax"(%x) {axis = 1 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return %1 : tensor<4x4xf32>
}
