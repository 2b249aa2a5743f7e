"""Cases in which a witness is wrong by the standard's own text, or has more than the text says."""

from __future__ import annotations

__all__ = ["RULINGS", "Ruling", "find_ruling"]

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

POOL_TEXT = (
    "SAME_UPPER or SAME_LOWER: output_spatial_shape[i] = ceil(input_spatial_shape[i] / strides_spatial_shape[i]), and "
    "the padding follows from the dilated kernel; ONNX Runtime pads as if there were no dilations"
)


class Ruling(NamedTuple):
    """A text that decides.

    Attributes:
        cases: pattern of the cases' names.
        against: the witnesses that it decides against.
        text: what the standard says.
    """

    cases: str
    against: frozenset[str]
    text: str


STATED = frozenset({"stated"})
ORT = frozenset({"ort", "ort-float64"})
CLIP_TEXT = "clip: bounds the elements of a tensor, and is applied to the input of activations; tract passes over it"
RULINGS = (
    Ruling(
        "[ASMDPEGLOX]*-[16] 3 axis=0 broadcast=1 [[]3x3x3]",
        frozenset({"openvino", "tract"}),
        "Add-1 and its kin: the starting of the mutually equal shape is specified by the argument axis; not the end",
    ),
    Ruling(
        "node test_maxunpool_export_with_output_shape",
        STATED,
        "MaxUnpool is the partial inverse of MaxPool, whose places count in the tensor that was pooled; the case "
        "counts in a smaller one (onnx/onnx#2398), ONNX Runtime and PyTorch do not",
    ),
    Ruling(
        "node test_resize_downsample_scales_*_align_corners",
        STATED,
        "Resize: x_original = x_resized * (length_original - 1) / (length_resized - 1), where length_resized is floor("
        "length * scale); the case takes the length before it is rounded (onnx/onnx#2462), ONNX Runtime does not",
    ),
    Ruling(
        "node test_dynamicquantizelinear*",
        frozenset({"onnx", "ort", "openvino", "tract", "stated"}),
        "2.5 is 127.5 steps: in float32 the quotient falls to one side of the border, in float64 it lies on it",
    ),
    Ruling(
        "Dropout-[16] *",
        frozenset({"openvino"}),
        "Dropout-1: in test mode the output is simply Y = X; OpenVINO answers what lay in memory",
    ),
    Ruling(
        "BitShift-28 direction=LEFT *",
        frozenset({"openvino"}),
        "BitShift: each element is shifted by its own number of positions, as in PyTorch and in opset 26",
    ),
    Ruling(
        "QuantizeLinear-28 output_dtype=3 *",
        frozenset({"tract"}),
        "QuantizeLinear: output_dtype is the type of y, as ONNX Runtime has it in opset 26; tract passes over it",
    ),
    Ruling(
        "GlobalLpPool-* p=3 *",
        frozenset({"tract"}),
        "GlobalLpPool: the p-norm, which is one of absolute values; tract takes the power of negative numbers",
    ),
    Ruling("MaxPool-* auto_pad=SAME_* dilations=*", frozenset({"ort", "ort-float64"}), f"MaxPool: {POOL_TEXT}"),
    Ruling("AveragePool-* auto_pad=SAME_* dilations=*", frozenset({"ort", "ort-float64"}), f"AveragePool: {POOL_TEXT}"),
    Ruling("LpPool-* auto_pad=SAME_* dilations=*", frozenset({"ort", "ort-float64"}), f"LpPool: {POOL_TEXT}"),
    Ruling(
        "Dropout-10 *2 outputs",
        frozenset({"ort", "ort-float64", "openvino"}),
        "Dropout-10 says nothing of the mask in test mode, Dropout-12 that it is all ones; ONNX Runtime has zeros",
    ),
    Ruling("OneHot-9 negative*", ORT | {"tract"}, "OneHot-9: what is outside the range [0, depth) is all off_value"),
    Ruling("RNN-* clip *", frozenset({"tract"}), CLIP_TEXT),
    Ruling("GRU-* clip *", frozenset({"tract"}), CLIP_TEXT),
    Ruling("LSTM-* clip *", frozenset({"tract"}), CLIP_TEXT),
    Ruling("LSTM-1 *", frozenset({"openvino"}), "LSTM: it = f(Xt*(Wi^T) + Ht-1*Ri + Pi (.) Ct-1 + Wbi + Rbi)"),
    Ruling(
        "RoiAlign-2[26] *",
        frozenset({"openvino"}),
        "RoiAlign-22 differs from RoiAlign-16 in its types only, where ONNX Runtime agrees",
    ),
    Ruling(
        "Attention-* past is_causal=1 *",
        frozenset({"ort-float64", "openvino", "tract"}),
        "Attention: the causal mask is shifted by past_sequence_length; ONNX Runtime's float64 is good to 1e-7",
    ),
    Ruling(
        "DFT-20 axis 2 * inverse=1 *",
        frozenset({"ort-float64", "openvino", "tract"}),
        "DFT-20: the default axis is -2; ONNX Runtime's own float64 is good to 1e-8",
    ),
    Ruling(
        "[RGL][NRS][NUT]*-14 batch first *reverse*",
        frozenset({"tract"}),
        "RNN: layout 1 has the batch first; reverse begins at the end",
    ),
)


def find_ruling(case: str, parted: Iterable[str]) -> str:
    """Return the text that decides a case against all that part from the reference; empty where there is none."""
    against = set(parted)
    return next((rule.text for rule in RULINGS if fnmatchcase(case, rule.cases) and against <= rule.against), "")
