"""What compiling for a CPU means: its schedule parameters, its lowering of the loop level, and IREE's flags."""

from __future__ import annotations

import dataclasses

from terrace.lowering.schedule.schedule_kernels import ScheduleKernels
from terrace.lowering.target.cpu.denormals import KeepDenormals, computes_beside_kernels, keep_denormals
from terrace.lowering.target.cpu.lower_tiles_to_vector import LowerTilesToVector
from terrace.lowering.target.cpu.widen_sums import WidenSums
from terrace.lowering.target.iree.convert_loop_to_iree import ConvertLoopToIree
from terrace.lowering.target.iree.expand_math import ExpandMath
            FoldSlicesIntoExtracts(),
