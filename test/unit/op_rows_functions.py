"""Rows of the sweep that are functions of each element: exponentials, roots, angles, special functions, activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import special

if TYPE_CHECKING:
    from op_rows import Row

NAN, INF = float("nan"), float("inf")

FUNCTIONS: dict[str, Row] = {
    "exponentials": lambda s: (s.x.exp(), s.x.exp2(), s.x.expm1(), s.d.exp(), s.p.exp(), s.x.half().exp(), s.u.exp()),
    "logarithms": lambda s: (s.x.log(), s.x.log2(), s.x.log10(), s.x.log1p(), s.d.log(), s.j.log(), s.b.log2()),
    "roots": lambda s: (s.x.sqrt(), s.x.rsqrt(), s.d.sqrt(), s.i.sqrt(), s.u.rsqrt(), s.x.bfloat16().sqrt()),
    "angles": lambda s: (s.x.sin(), s.x.cos(), s.m.tan(), s.x.asin(), s.x.acos(), s.x.atan(), s.k.sin(), s.b.cos()),
    "hyperbolic": lambda s: (s.x.sinh(), s.x.cosh(), s.x.tanh(), s.x.asinh(), s.x.acosh(), s.x.atanh(), s.k.tanh()),
    "arctangent": lambda s: (torch.atan2(s.x, s.y), torch.atan2(s.k, s.n), torch.atan2(s.z, s.x.half())),
    "angle": lambda s: (s.x.angle(), s.i.angle(), s.x.conj(), s.x.real, torch.positive(s.i)),
    "error_function": lambda s: (s.x.erf(), s.x.erfc(), s.m.erfc(), s.k.erf(), s.d.erfc()),
    "inverse_error_function": lambda s: (
        s.x.erfinv(),
        torch.erfinv(s.m / 4),
        torch.erfinv(s.m.double() / 4),
        torch.erfinv(1 - s.m.abs() * 1e-6),
        s.b.erfinv(),
    ),
    "entropy": lambda s: (special.entr(s.x), special.entr(s.p)),
    "xlogy": lambda s: (
        special.xlogy(s.x, s.y),
        special.xlogy(s.x, 2.0),
        special.xlogy(0, s.x),
        torch.xlogy(s.m, -0.0),
        torch.xlogy(s.p, 3),
        torch.xlogy(2.5, s.p),
        special.xlogy(NAN, s.x),
    ),
    "xlog1py": lambda s: (special.xlog1py(s.x, s.y), special.xlog1py(s.x, 2.0), special.xlog1py(0, s.x)),
    "logit": lambda s: (s.x.logit(), s.x.logit(eps=0.2), s.m.sigmoid().logit(), s.x.logit(eps=0.7)),
    "sigmoid": lambda s: (s.x.sigmoid(), s.d.sigmoid(), s.k.sigmoid(), s.x.half().sigmoid(), special.expit(s.x)),
    "sinc": lambda s: (torch.sinc(s.m), torch.sinc(torch.tensor([0.0, -0.0, 1.0, 2.5, INF, NAN])), s.p.sinc()),
    "logaddexp": lambda s: (torch.logaddexp(s.x, s.y), torch.logaddexp2(s.x, s.y), torch.logaddexp(s.m * 99, s.m)),
    "powers": lambda s: (
        s.x.abs() ** 0.3,
        s.x**s.y,
        2**s.m,
        s.x**-1,
        s.x**0,
        s.x**-2,
        (-2.0) ** s.p.float(),
        s.x**0.5,
        s.x**3,
    ),
    "power_types": lambda s: (s.k**0.5, s.m.double() ** 3.3, torch.float_power(s.k, 2), s.p**s.m, 2.5**s.k, s.b**2),
    "numbers": lambda s: (s.z.exp(), s.z.erf(), s.z.sin(), s.z**2, 2**s.z, s.z.sigmoid(), torch.logaddexp(s.z, s.z)),
    "nothing": lambda s: (s.none.exp(), s.none.erf(), s.none**0.3, s.none.log10(), s.none.sin(), F.gelu(s.none)),
}

ACTIVATIONS: dict[str, Row] = {
    "rectifiers": lambda s: (F.relu(s.x), F.relu6(s.x), F.relu(s.i), F.relu(s.n), F.hardtanh(s.x, -0.5, 0.0)),
    "leaky": lambda s: (F.leaky_relu(s.x), F.leaky_relu(s.x, 0.0), F.leaky_relu(s.x, -2.0), F.rrelu(s.x)),
    "prelu": lambda s: (F.prelu(s.x, s.m[0]), F.prelu(s.x, s.z.reshape(1)), F.prelu(s.smooth, s.m[0, :3])),
    "exponential": lambda s: (F.elu(s.x), F.elu(s.x, -0.5), F.selu(s.x), F.celu(s.x), F.celu(s.x, 0.3), F.elu(s.d, 0)),
    "gelu": lambda s: (F.gelu(s.x), F.gelu(s.x, approximate="tanh"), F.gelu(s.d), F.gelu(s.x.half())),
    "hard": lambda s: (F.hardsigmoid(s.x), F.hardswish(s.x / 8), F.hardtanh(s.x), F.hardtanh(s.k, -3, 4)),
    "smooth": lambda s: (F.silu(s.x), F.mish(s.x), F.softsign(s.x), F.tanhshrink(s.x), F.logsigmoid(s.x), F.silu(s.d)),
    "softplus": lambda s: (F.softplus(s.x), F.softplus(s.x, 0.5, 1), F.softplus(s.x, -1.0), F.softplus(s.m, 2, 0)),
    "shrinking": lambda s: (F.hardshrink(s.x, 0), F.softshrink(s.x, 0), F.hardshrink(s.x, 2.5), F.softshrink(s.x, 2.5)),
    "threshold": lambda s: (F.threshold(s.x, -0.0, NAN), F.threshold(s.i, 5, -1), F.threshold(s.x, 2.5, -INF)),
    "threshold_backward": lambda s: (
        torch.ops.aten.threshold_backward(s.i, s.x, 0.5),
        torch.ops.aten.threshold_backward(s.k, s.n, -0.5),
        torch.ops.aten.threshold_backward(s.x, s.y, 0),
    ),
    "glu": lambda s: (F.glu(s.x[:, :6]), F.glu(s.x[:4], 0), F.glu(s.image[:, :, :6], -2)),
    "softmax": lambda s: (
        F.softmax(s.x, 1),
        F.softmax(s.x, 0),
        F.log_softmax(s.x, 1),
        F.softmin(s.m, 1),
        F.softmax(s.z, 0),
        F.log_softmax(s.z, 0),
        F.softmax(s.none, 0),
        F.softmax(s.one, 1),
        F.softmax(s.m * 1e30, 0),
        F.softmax(s.m, 1, dtype=torch.float64),
        F.log_softmax(s.k.float(), -1),
        F.softmax(s.m.half(), 1),
    ),
    "softmax_masked": lambda s: (
        F.softmax(s.m.masked_fill(s.b, -INF), 1),
        F.softmax(torch.full_like(s.m, -INF), 1),
        F.log_softmax(s.m.masked_fill(s.b, -INF), 0),
        F.softmax(s.m.masked_fill(s.b, INF), 1),
    ),
    "dropout": lambda s: (F.dropout(s.x, 0.3, False), F.alpha_dropout(s.x, 0.5, False), F.dropout2d(s.image, 0, True)),
}
