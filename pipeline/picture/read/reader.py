"""The Reader of pictures."""

from pathlib import Path

from pipeline.modality.protocols import RawFolder
from pipeline.picture.sets.other_tasks import refuse_other_tasks
from pipeline.picture.sets.unread import refuse_unread


class PictureReader:
    """Pictures behind the protocol `Reader`."""

    def refuse_unread(self, raw: Path, folder: RawFolder, label_file: Path | None) -> None:
        """Refuse a folder without pictures whose files may hold some in a way that is not read.

        Raises:
            DataError: It says what the files are, and what to do.
        """
        refuse_unread(raw, folder, label_file)

    def refuse_other_tasks(self, raw: Path, folder: RawFolder) -> None:
        """Refuse a folder without a label file whose pictures have no label each.

        Raises:
            DataError: It says what the set is, and what to do.
        """
        refuse_other_tasks(raw, folder)


READER = PictureReader()
