"""Archives with known members, for the tests of reading them in place."""

import io
import tarfile
import zipfile


def tar(members, *, kind=tarfile.GNU_FORMAT, **info):
    """Give a tar of names and contents; `info` sets fields of every header."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            for field, value in info.items():
                setattr(header, field, value)
            archive.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def tar_of_kind(name, kind, target=""):
    """Give a tar with one member of a kind without contents, such as a link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        header = tarfile.TarInfo(name)
        header.type, header.linkname = kind, target
        archive.addfile(header)
    return stream.getvalue()


def packed(members, *, method=zipfile.ZIP_DEFLATED, mode=None, comment=b""):
    """Give a zip of names and contents; `mode` is the Unix mode of every member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.comment = comment
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            if mode is not None:
                info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, content)
    return stream.getvalue()


def pack_folder(folder, path):
    """Pack all files of a folder, by its relative paths, into a .tar or .zip file."""
    members = [
        (each.relative_to(folder).as_posix(), each.read_bytes())
        for each in sorted(folder.rglob("*"))
        if each.is_file()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar(members) if path.suffix == ".tar" else packed(members))
    return path
