"""The protocol's messages, in a pool of their own: a second `inference` package in the common one ends the process."""

from __future__ import annotations

__all__ = ["POOL", "SERVICE", "message_class"]

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

POOL = DescriptorPool()
for _file in FileDescriptorSet.FromString(Path(__file__).with_name("inference.binpb").read_bytes()).file:
    POOL.AddSerializedFile(_file.SerializeToString())
SERVICE = POOL.FindServiceByName("inference.GRPCInferenceService")


def message_class(name: str) -> Any:
    """Return a message's class by its name in `inference.proto`."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))
