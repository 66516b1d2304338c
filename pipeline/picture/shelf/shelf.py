"""The Shelf of pictures."""


class PictureShelf:
    """Pictures behind the protocol `Shelf`."""


SHELF = PictureShelf()
