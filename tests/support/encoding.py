"""What `transform` makes of pictures."""

from pipeline.store.encoded_shard import Encoding


def encoding(params):
    """Give the encoding that the section `transform` asks for."""
    return Encoding("picture", params.spec(), params.shard_rows)
