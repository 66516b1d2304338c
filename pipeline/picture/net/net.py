"""The Net of pictures."""


class PictureNet:
    """Pictures behind the protocol `Net`."""


NET = PictureNet()
