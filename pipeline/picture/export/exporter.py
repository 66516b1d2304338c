"""The Exporter of pictures."""

from typing import Any

import numpy as np

from pipeline.export.card import USE
from pipeline.export.formats import Written
from pipeline.export.program import Use
from pipeline.ground.seeds import numpy_generator
from pipeline.model.bundle import Bundle
from pipeline.picture.export.formats import WRITERS
from pipeline.picture.export.usage import program
from pipeline.picture.show.preview import encode_jpeg

_SEED = 1
_CELLS, _SIDE_PX, _MAX_BYTES = 6, 300, 1 << 20
"""Of generated pictures: random colors in so many cells a side, blown up to so many pixels."""


class PictureExporter:
    """Pictures behind the protocol `Exporter`."""

    WRITERS = WRITERS

    def takes(self, written: Written, bundle: Bundle) -> dict[str, Any]:
        """Return what a file takes: bytes of pictures, or normalized values."""
        size = bundle.decode.size_px
        return {
            "name": "pictures" if written.is_whole else "values",
            "dtype": "uint8" if written.is_whole else "float32",
            "shape": ["batch", 3, size, size],
            "layout": "NCHW",
            "channels": "RGB",
            "range": [0, 255] if written.is_whole else None,
        }

    def steps(self, written: Written, bundle: Bundle) -> list[dict[str, Any]]:
        """Return decoding, what is around the network, and the network."""
        place = written.file if written.is_whole else USE
        return [
            {"step": "decode", "in": USE, **bundle.decode.to_dict()},
            {
                "step": "normalize",
                "in": place,
                "multiplier": bundle.normalization.multiplier.tolist(),
                "offset": bundle.normalization.offset.tolist(),
            },
            {"step": "turn to views", "in": place, "codes": list(bundle.views)},
            {"step": "model", "in": written.file},
            {"step": "mean over views", "in": place},
        ]

    def program(self, use: Use, bundle: Bundle) -> str:
        """Return `use.py`."""
        return program(use, bundle)

    def generated(self, count: int) -> list[bytes]:
        """Return JPEG files of random colors."""
        generator = numpy_generator(_SEED, "export", "pictures")
        blown_up = np.ones((_SIDE_PX // _CELLS, _SIDE_PX // _CELLS, 1), np.uint8)
        cells = (
            generator.integers(0, 256, (_CELLS, _CELLS, 3), dtype=np.uint8) for _ in range(count)
        )
        return [encode_jpeg(np.kron(each, blown_up), _MAX_BYTES) for each in cells]


EXPORT = PictureExporter()
