"""A signature decides what a file is; what its texts say does not."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline.picture.files import picture_format
from pipeline.picture.read.decode import open_picture
from pipeline.picture.read.spec import UndecodableImage
from pipeline.raw.sniff import HEAD_BYTES, sniff

NOISE = Image.fromarray(np.random.default_rng(2).integers(0, 256, (24, 30, 3), dtype=np.uint8))
TEXTS = {
    "svg": "<svg xmlns='http://www.w3.org/2000/svg'><rect width='3'/></svg>",
    "html": "<!DOCTYPE html><html><body>",
    "pdf": "%PDF-1.7\n",
    "zip": "PK\x03\x04",
    "postscript": "%!PS-Adobe-3.0 EPSF-3.0",
    "tar": "x" * 200 + "ustar" * 20,
    "dicom": "DICM" * 60,
}


def with_text(kind, text):
    stream = io.BytesIO()
    options = {}
    if kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("source", text)
    elif kind in ("JPEG", "GIF"):
        options["comment"] = text.encode()
    elif kind == "TIFF":
        options["tiffinfo"] = {270: text}
    elif kind == "WEBP":
        options["xmp"] = text.encode()
    elif kind == "PPM":
        NOISE.save(stream, "PPM")
        return stream.getvalue().replace(
            b"P6\n", b"P6\n# " + text.encode().split(b"\n")[0] + b"\n", 1
        )
    NOISE.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "PPM"])
def test_a_picture_may_say_anything_in_its_texts(kind, text):
    raw = with_text(kind, text)
    assert (
        open_picture(raw, background=(0, 0, 0), max_pixels=10_000, animated="first").format == kind
    )


DRAWINGS = {
    "plain": b"<svg/>",
    "prolog": b'<?xml version="1.0"?>\n<svg xmlns="x"/>',
    "comment": b"<!-- Made by hand <html> -->\n<svg/>",
    "doctype": b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "u"><svg/>',
    "mark": b"\xef\xbb\xbf <svg/>",
    "utf-16": "\ufeff<svg/>".encode("utf-16-le"),
    "utf-16 of the other order": "\ufeff<?xml version='1.0'?><svg/>".encode("utf-16-be"),
    "capitals": b"<SVG>",
    "prefix": b"<svg:svg xmlns:svg='x'/>",
}


@pytest.mark.parametrize("raw", DRAWINGS.values(), ids=DRAWINGS)
def test_a_drawing_is_named(raw):
    assert picture_format(raw) is None
    assert sniff(raw).startswith("an SVG drawing (draw it as PNG")


TEXT_FILES = {
    "HTML that shows a drawing": (b"<html><body><svg/></body></html>", "an HTML page"),
    "HTML behind a comment": (b"<!-- saved --><!DOCTYPE html><svg/>", "an HTML page"),
    "XML that names one": (b"<?xml version='1.0'?><notes>&lt;svg</notes>", "an XML file"),
    "text that names one": (b"the tag <svg> draws", "a text file"),
    "text like a PPM": (b"P6 is a chipset of 1995", "a text file"),
    "text like a BMP": (b"BMW is a car", "a text file"),
    "text that is cut within a letter": (
        ("\u00e9" * HEAD_BYTES).encode()[: HEAD_BYTES - 1],
        "a text file",
    ),
}


@pytest.mark.parametrize(("raw", "name"), TEXT_FILES.values(), ids=TEXT_FILES)
def test_a_text_is_no_drawing(raw, name):
    assert sniff(raw) == name


def media(major, *others):
    names = b"".join(each.encode() for each in others)
    return (16 + len(names)).to_bytes(4, "big") + b"ftyp" + major.encode() + bytes(4) + names


HEIC = ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"]


@pytest.mark.parametrize("brand", HEIC)
def test_every_brand_of_heic_is_named(brand):
    for head in (media(brand), media(brand, "mif1", "heic"), media("xxxx", brand)):
        assert picture_format(head + bytes(99)) is None
        assert sniff(head + bytes(99)).startswith("a HEIC picture (convert it to JPEG or PNG")


OTHERS = {
    "AVIF of another major brand": (media("mif1", "miaf", "avif"), "AVIF", None),
    "film": (media("isom", "iso2", "avc1"), None, "a video"),
    "QuickTime": (media("qt  "), None, "a video"),
    "Canon CR3": (media("crx ", "isom"), None, "a camera's raw file"),
    "brand beyond its box": (media("isom") + b"heic", None, "a video"),
    "JPEG behind a line end": (b"\r\n\xff\xd8\xff\xe0", None, "a JPEG behind 2 other bytes"),
    "PNG behind a mark": (b"\xef\xbb\xbf\x89PNG\r\n\x1a\n", None, "a PNG behind 3 other bytes"),
    "JPEG without JFIF": (b"\xff\xd8\xff\xdb", "JPEG", None),
    "TGA": (b"\0\0\2" + bytes(9) + b"\x20\0\x20\0\x18\x20", None, "a TGA picture (convert"),
    "TGA of gray in runs": (b"\0\0\x0b" + bytes(9) + b"\x20\0\x20\0\x08\0", None, "a TGA picture"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", None, "a JPEG 2000 picture (convert it to PNG"),
    "icon": (b"\0\0\1\0\1\0", None, "an icon (convert it to PNG"),
    "Photoshop": (b"8BPS\0\1", None, "a Photoshop file (convert it to PNG"),
    "Olympus": (b"IIRO\x08\0\0\0", None, "a camera's raw file (develop it"),
    "PFM": (b"Pf\n3 3\n-1.0\n", None, "a PFM picture of floats (scale it"),
    "PDF": (b"%PDF-1.4", None, "a PDF (draw its pages as PNG, as by `pdftoppm"),
    "zeros": (bytes(300), None, None),
}


@pytest.mark.parametrize(("head", "accepted", "name"), OTHERS.values(), ids=OTHERS)
def test_others_are_named_with_a_way_on(head, accepted, name):
    assert picture_format(head) == accepted
    found = sniff(head)
    assert found is None if name is None else found.startswith(name)


def test_too_many_pixels_name_the_setting():
    stream = io.BytesIO()
    NOISE.save(stream, "PNG")
    with pytest.raises(
        UndecodableImage, match=r"24 pixels, over 99 \(`clean.max_pixels`, or --max"
    ):
        open_picture(stream.getvalue(), background=(0, 0, 0), max_pixels=99, animated="first")


NO_PICTURES = {
    "git-annex": (b"/annex/objects/SHA256E-s12--ab.jpg\n", "a git-annex pointer (run `git annex"),
    "macOS": (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "a file that macOS keeps beside another"),
    "PCX": (b"\x0a\x05\x01\x08" + bytes(60), "a PCX picture (convert it"),
    "settings": (b"[InternetShortcut]\r\nURL=x", "a text file"),
    "JSON": (b'{"error": 1}', "a JSON file"),
    "a list in JSON": (b"[\n 1, 2]", "a JSON file"),
}


@pytest.mark.parametrize(("raw", "what"), NO_PICTURES.values(), ids=NO_PICTURES)
def test_what_is_no_picture_is_named(raw, what):
    assert sniff(raw).startswith(what)
