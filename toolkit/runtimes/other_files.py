"""What a file is that is called a model and is none, told from its first bytes."""

from __future__ import annotations

__all__ = ["describe_other_file"]

# Where, which bytes, and what a file that has them is: the signatures that these formats' own texts give.
SIGNATURES = (
    (0, b"version https://git-lfs", "it is Git LFS's note of where the file lies; fetch the file with: git lfs pull"),
    (0, b"<", "it is a web page or XML; download the file itself"),
    (0, b"PK\x03\x04", "it is a ZIP archive, as torch.save writes; unpack it, or export its network to ONNX"),
    (0, b"\x80\x02", "it is a pickle, as torch.save wrote; export its network to ONNX"),
    (0, b"\x89HDF", "it is HDF5, as Keras writes; export its network to ONNX"),
    (0, b"\x1f\x8b", "it is packed with gzip; unpack it"),
    (4, b"TFL3", "it is a TensorFlow Lite model; export its network to ONNX"),
    (4, b"ORTM", "it is in ONNX Runtime's own format; take the .onnx that it was made from"),
)


def describe_other_file(data: bytes) -> str:
    """Return what the bytes seem to be, and the next step; empty where nothing is known of them."""
    begins = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    found = (words for place, magic, words in SIGNATURES if (begins if place == 0 else data[place:]).startswith(magic))
    return next(found, "")
