"""Names of a zip whose code is not marked: read where it is beyond doubt, else asked about."""

import io
import struct
import unicodedata
import zipfile
import zlib

import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import Archive
from tests.support.packed import packed

WINDOWS, UNIX, MACOS = 0, 3, 19


def zipped(names, code, system, extra=lambda name: b""):
    """Give a zip of one file in each folder, with names in a code and no mark of UTF-8."""

    class Unmarked(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):  # noqa: N802 - the name that zipfile calls
            return self.filename.encode(code), self.flag_bits & ~0x800

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            info = Unmarked(f"{name}/0.png")
            info.create_system = system
            info.extra = extra(info.filename)
            archive.writestr(info, b"x")
    return stream.getvalue()


def listed(folder, content):
    (folder / "a.zip").write_bytes(content)
    return [each.path for each in Archive(folder / "a.zip").members()]


KNOWN = {
    "macOS, letters and their accents apart": (["caf\u00e9", "\u00c4pfel"], "utf-8", UNIX, "NFD"),
    "macOS, Korean": (["\uace0\uc591\uc774"], "utf-8", MACOS, "NFD"),
    "French": (["caf\u00e9"], "utf-8", UNIX, "NFC"),
    "German of a Windows program": (["\u00c4pfel", "B\u00e4r"], "utf-8", WINDOWS, "NFC"),
    "Chinese": (["\u732b", "\u72d7"], "utf-8", WINDOWS, "NFC"),
    "one Chinese letter": (["\u732b"], "utf-8", UNIX, "NFC"),
    "Russian": (["\u043a\u043e\u0442"], "utf-8", UNIX, "NFC"),
    "Japanese": (["\u306d\u3053"], "utf-8", WINDOWS, "NFC"),
    "DOS, German": (["\u00c4pfel", "B\u00e4r", "Gr\u00f6\u00dfe"], "cp437", WINDOWS, "NFC"),
    "DOS, French": (["caf\u00e9"], "cp850", WINDOWS, "NFC"),
    "DOS, Turkish": (["t\u00fcrk"], "cp857", WINDOWS, "NFC"),
}


@pytest.mark.parametrize(("names", "code", "system", "form"), KNOWN.values(), ids=KNOWN)
def test_names_are_read_where_only_one_reading_makes_sense(tmp_path, names, code, system, form):
    names = [unicodedata.normalize(form, name) for name in names]
    assert listed(tmp_path, zipped(names, code, system)) == [f"{name}/0.png" for name in names]


DOUBTFUL = {
    "GBK, one of two passes for UTF-8": (["\u732b", "\u72d7"], "gbk"),
    "GBK, all pass for UTF-8": (["\u732b", "\u8305"], "gbk"),
    "GBK, one letter": (["\u732b"], "gbk"),
    "GBK, words": (["\u826f\u54c1", "\u4e0d\u826f"], "gbk"),
    "Shift-JIS": (["\u72ac", "\u732b"], "shift_jis"),
    "Shift-JIS, with a backslash in a letter": (["\u82b1", "\u8868\u793a"], "shift_jis"),
    "Shift-JIS, which looks like a word of DOS": (["\u30cd\u30b3"], "shift_jis"),
    "Big5": (["\u8c93", "\u72d7"], "big5"),
    "Korean": (["\uace0\uc591\uc774", "\uac1c"], "euc_kr"),
    "Russian of Windows": (["\u043a\u043e\u0448\u043a\u0430"], "cp1251"),
    "Russian of DOS": (["\u043a\u043e\u0448\u043a\u0430"], "cp866"),
    "German of Windows": (["\u00c4pfel", "B\u00e4r"], "cp1252"),
    "Polish of DOS": (["bia\u0142ko"], "cp852"),
    "two letters": (["\u00d6l"], "cp437"),
}


@pytest.mark.parametrize("system", [WINDOWS, UNIX], ids=["windows", "unix"])
@pytest.mark.parametrize(("names", "code"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_names_in_doubt_stop_with_their_readings(tmp_path, names, code, system):
    with pytest.raises(DataError) as caught:
        listed(tmp_path, zipped(names, code, system))
    line = str(caught.value)
    assert line.startswith(f"{tmp_path}/a.zip: must say in which letters its names are; ")
    assert "\n" not in line
    assert "unzip -O CODE a.zip" in line
    if code != "cp852":  # not among the codes that are tried
        assert all(repr(name) in line for name in names)
        assert f"({code})" in line


def test_one_doubtful_name_makes_all_unmarked_ones_doubtful(tmp_path):
    words = ["caf\u00e9".encode(), "\u72d7".encode("gbk")]
    marked = packed([(f"{'x' * len(word)}/{place}.png", b"x") for place, word in enumerate(words)])
    for word in words:
        marked = marked.replace(b"x" * len(word) + b"/", word + b"/")
    with pytest.raises(DataError, match="must say in which letters"):
        listed(tmp_path, marked)


def unicode_path(name, code="gbk"):
    raw = name.encode(code)
    content = b"\x01" + struct.pack("<I", zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


def test_the_second_name_in_utf_8_counts(tmp_path):
    names = ["\u732b", "\u72d7"]
    found = listed(tmp_path, zipped(names, "gbk", WINDOWS, unicode_path))
    assert found == [f"{name}/0.png" for name in names]


@pytest.mark.parametrize(
    "extra",
    [lambda name: unicode_path(name + "!"), lambda name: b"\x75\x70\xff\xff\x01abc"],
    ids=["of another name", "cut"],
)
def test_a_second_name_that_does_not_belong_to_the_first_is_left(tmp_path, extra):
    with pytest.raises(DataError, match="must say in which letters"):
        listed(tmp_path, zipped(["\u732b", "\u72d7"], "gbk", WINDOWS, extra))


def test_ascii_and_marked_names_are_as_ever(tmp_path):
    members = [("cat/1.png", b"1"), ("\u732b/1.png", b"1"), ("\u00d6l/1.png", b"1")]
    assert listed(tmp_path, packed(members)) == [name for name, _ in members]
