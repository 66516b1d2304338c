"""The Show of pictures."""


class PictureShow:
    """Pictures behind the protocol `Show`."""


SHOW = PictureShow()
