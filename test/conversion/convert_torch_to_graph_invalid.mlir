// RUN: terrace-opt --convert-torch-to-graph --verify-diagnostics --split-input-file %s

func.func @cut_of_dynamic_end(%x: !torch.vtensor<[?],f32>) -> !torch.vtensor<[?],f32> {
  %low = torch.constant.int 0
  %high = torch.constant.int -1
  %zero = torch.constant.float 0.0
  %amounts = torch.prim.ListConstruct %low, %high : (!torch.int, !torch.int) -> !torch.list<int>
  // expected-error @+1 {{'torch.aten.constant_pad_nd' op cannot cut the end of a dynamic dimension by negative padding: slice it instead}}
  %0 = torch.aten.constant_pad_nd %x, %amounts, %zero : !torch.vtensor<[?],f32>, !torch.list<int>, !torch.float -> !torch.vtensor<[?],f32>
  return %0 : !torch.vtensor<[?],f32>
}
