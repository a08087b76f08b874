// RUN: terrace-opt --pass-pipeline='builtin.module(torchdynamo-export-to-torch-backend-pipeline,torch-backend-to-linalg-on-tensors-backend-pipeline)' %s | filecheck %s --check-prefix=LINALG
// RUN: terrace-opt -torchdynamo-export-to-torch-backend-pipeline -torch-backend-to-linalg-on-tensors-backend-pipeline %s | filecheck %s --check-prefix=LINALG
// RUN: terrace-opt -pass-pipeline='builtin.module(torchdynamo-export-to-torch-backend-pipeline{backend-legal-ops=aten.flatten.using_ints,aten.silu})' %s | filecheck %s --check-prefix=LEGAL
// RUN: terrace-opt --torchdynamo-export-to-torch-backend-pipeline="backend-legal-ops=aten.relu extra-library=" %s | filecheck %s --check-prefix=DECOMPOSED
// RUN: terrace-opt --pass-pipeline='builtin.module(func.func(convert-torch-to-linalg,canonicalize),func.func(convert-torch-to-arith))' %s | filecheck %s --check-prefix=PARTLY
// RUN: terrace-opt -torch-decompose-complex-ops="legal-ops=aten.relu" -convert-torch-to-linalg -canonicalize %s | filecheck %s --check-prefix=PARTLY
// RUN: terrace-opt --torchdynamo-export-to-torch-backend-pipeline --torch-backend-to-linalg-on-tensors-backend-pipeline --mlir-print-ir-after=convert-torch-to-linalg %s 2>&1 >/dev/null | filecheck %s --check-prefix=STEPS
// RUN: not terrace-opt --pass-pipeline='builtin.module(torchdynamo-export-to-torch-backend-pipeline{legal=1})' %s 2>&1 | filecheck %s --check-prefix=OPTION
// RUN: not terrace-opt --pass-pipeline='builtin.module(func.func(convert-torch-to-linalgs))' %s 2>&1 | filecheck %s --check-prefix=NAME
// RUN: not terrace-opt --pass-pipeline='builtin.module(func.func(convert-torch-to-linalg)' %s 2>&1 | filecheck %s --check-prefix=PAREN

// The strings that torch-mlir-opt takes run here as they are.
// LINALG-LABEL: func.func @f(%arg0: tensor<2x3xf32>) -> tensor<2x3xf32>
// LINALG-NOT: torch
// LINALG: linalg.generic
// LEGAL: torch.aten.silu
// DECOMPOSED-NOT: torch.aten.silu
// DECOMPOSED: torch.aten.sigmoid
// PARTLY: !torch.vtensor<[2,3],f32>
// PARTLY: linalg.generic

// A named pipeline is printed pass by pass.
// STEPS: IR Dump After func.func(convert-torch-to-linalg{allow-non-finites=true})
// STEPS: linalg.generic

// OPTION: error: pass 'torchdynamo-export-to-torch-backend-pipeline': failed to add {{.*}} with options `legal=1`
// NAME: pass pipeline:1:26: error: unknown pass 'convert-torch-to-linalgs'; did you mean 'convert-torch-to-linalg'
// PAREN: pass pipeline:1:15: error: this '(' has no matching ')'
// PAREN-NEXT: builtin.module(func.func(convert-torch-to-linalg)
// PAREN-NEXT: {{^}}              ^
func.func @f(%x: !torch.vtensor<[2,3],f32>) -> !torch.vtensor<[2,3],f32> {
  %0 = torch.aten.silu %x : !torch.vtensor<[2,3],f32> -> !torch.vtensor<[2,3],f32>
  %1 = torch.aten.relu %0 : !torch.vtensor<[2,3],f32> -> !torch.vtensor<[2,3],f32>
  return %1 : !torch.vtensor<[2,3],f32>
}
