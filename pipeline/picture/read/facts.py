"""What `clean` writes of each picture, beside what it writes of any item."""

from collections.abc import Mapping


class PictureFacts:
    """Pictures behind the protocol `Facts`."""

    columns: Mapping[str, type] = {"width": int, "height": int, "mode": str, "format": str}
    content_hash = "pixel_hash"
    sketch = "thumbnail"
    reasons: Mapping[str, str] = {
        "not_image": "the bytes are no picture",
        "format_not_allowed": "a kind of picture, or of document, that is never decoded here",
        "unsupported_mode": "a picture whose pixel values have no agreed meaning as colors",
        "truncated": "the picture ends before its last pixel",
        "damaged": "the picture is damaged, and cannot be decoded as a whole",
        "decoder_crashed": "the decoder crashed, or took more memory than any picture may need",
        "decoder_hung": "the decoder did not come to an end in a time that suffices for any "
        "picture",
        "animated": "the picture has several frames, and `clean.animated` is reject",
        "transparent": "every pixel is transparent, and what is beneath has one color",
        "too_large": "the picture has more pixels than `clean.max_pixels`",
        "too_small": "a side is shorter than `clean.min_side_px`",
        "aspect": "the longer side exceeds the shorter by more than `clean.max_aspect`",
        "conflict": "the same item, or the same pixels, stands with different labels",
        "duplicate": "the same pixels with the same label stand at another path, which is kept",
        "near_duplicate_of": "nearly the same picture stands in a more protected split",
    }


FACTS = PictureFacts()
