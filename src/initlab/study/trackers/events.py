"""What of tensorboardX writes events."""

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import HistogramProto, Summary
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import text

Value = Summary.Value

__all__ = ["Event", "HistogramProto", "Summary", "Value", "masked_crc32c", "text"]
