"""The Reader of pictures."""


class PictureReader:
    """Pictures behind the protocol `Reader`."""


READER = PictureReader()
