"""An SFTP server with one key and folder: `python -m tests.support.sftp FOLDER PORT KEY.pub [N]`.

With N, the process ends when the N-th file is opened for writing, in the middle of an upload.
"""

import asyncio
import os
import sys
from typing import ClassVar

import asyncssh


class _Folder(asyncssh.SFTPServer):
    root = ""
    left: ClassVar[list[int]] = []

    def __init__(self, chan):
        super().__init__(chan, chroot=self.root)

    def open(self, path, pflags, attrs):
        if self.left and pflags & asyncssh.FXF_WRITE:
            self.left[0] -= 1
            if self.left[0] <= 0:
                os._exit(1)
        return super().open(path, pflags, attrs)


async def _serve(folder, port, public_key):
    _Folder.root = os.fsencode(folder)
    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=public_key,
        sftp_factory=_Folder,
        allow_scp=False,
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) > 4:
        _Folder.left.append(int(sys.argv[4]))
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
