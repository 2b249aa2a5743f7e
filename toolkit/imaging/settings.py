"""What a user may wish of the way from a picture to a model's input; its limits and its word of doubt; light."""

from __future__ import annotations

__all__ = ["AUTO", "DOUBT", "MAX_FILE_BYTES", "MAX_PIXELS", "PrepareSettings", "find_doubts"]

from dataclasses import dataclass

from toolkit.errors import require_known

AUTO = "auto"
FIT_WISHES = (AUTO, "mnist", "stretch", "none")
POLARITY_WISHES = (AUTO, "light-on-dark", "dark-on-light")
# What every note begins with that gives a reason to doubt the answer.
DOUBT = "doubtful: "
# How large an image may be, wherever it comes from.
# What phones call 64 megapixels is 9,248 x 6,944.
MAX_PIXELS = 65_000_000
MAX_FILE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSettings:
    """Wishes; `auto` leaves it to what the picture shows and the model's card asks for.

    Attributes:
        fit: how a picture of another size is brought to the model's: `mnist` (the ink in a box of 20/28, its centre of
            mass in the middle), `stretch` (the whole picture), `none` (refused); `auto` as the card says. A wish other
            than `auto` also holds for pictures of the model's own size.
        polarity: what the picture is: `light-on-dark`, `dark-on-light`, or `auto`: told from each picture.
    """

    fit: str = AUTO
    polarity: str = AUTO

    def __post_init__(self) -> None:
        require_known(self.fit, FIT_WISHES, what="fit")
        require_known(self.polarity, POLARITY_WISHES, what="polarity")


def find_doubts(message: str) -> str:
    """Return the reasons that a picture's notes give to doubt its answer, joined as they are; "" without one."""
    return "; ".join(part.removeprefix(DOUBT) for part in message.split("; ") if part.startswith(DOUBT))
