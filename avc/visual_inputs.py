"""What a network takes of a video at a moment; what is drawn and served follows from it."""

import dataclasses

# Of a byte of flow: the one of no motion, and how many steps there are from it to `reach`.
STILL, STEPS = 128, 127


@dataclasses.dataclass(frozen=True)
class VisualInputs:
    """The inputs of a network beside the sound.

    Attributes:
      frame: whether it takes the one frame that is shown at the moment.
      num_frames: frames around the moment, a step of the grid apart; 0 for none.
      num_flows: fields of optical flow around it; 0 for none.
      flow_reach: what 1 stands for in them; see avc.flow.
    """

    frame: bool = True
    num_frames: int = 0
    num_flows: int = 0
    flow_reach: float = 1 / 16

    def shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """The inputs by name, without the batch dimension, for pictures of `size` pixels."""
        found = {}
        if self.frame:
            found["frame"] = (size, size, 3)
        if self.num_frames:
            found["frames"] = (self.num_frames, size, size, 3)
        if self.num_flows:
            found["flow"] = (size, size, 2 * self.num_flows)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs' names, in the order of `shapes`."""
        return tuple(self.shapes(1))


# What most networks take: one frame.
FRAME = VisualInputs()


def unit_range(name: str, values):
    """A batch of bytes of an input as floats, [0, 1] for pictures and [-1, 1] for flow."""
    return (values - STILL) / STEPS if name == "flow" else values / 255
