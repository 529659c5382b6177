"""Messages of protocol buffers whose few fields are written down in the program, through Google's library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Mapping[str, tuple[int, str, bool]]]
"""Message -> field -> number, type (also one of the messages), whether it is repeated. A parser passes over others."""

PACKAGE = "keras_resnet"


def message_class(name: str, messages: Fields) -> Any:
    """The class of a message.

    Args:
        name: Of the message.
        messages: That one, and those in it.

    Raises:
        ModuleNotFoundError: if protobuf is not installed.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=PACKAGE, syntax="proto2")
    for message, fields in messages.items():
        added = file.message_type.add(name=message)
        for field_name, (number, kind, repeated) in fields.items():
            label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            field = added.field.add(name=field_name, number=number, label=label)
            if kind in messages:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                field.type = field_type.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
