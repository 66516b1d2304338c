"""Pieces of `use.py`, as text; `usage` puts them together.

They read a picture as `picture.read.decode` does: each export compares the two on real files.
"""

HEADER = '''"""Predict pictures with <FILE>: python use.py PICTURE...

Prints a line of JSON for each. Needs <PACKAGES>.
"""
'''

READ = '''

def read(path):
    """Give a picture as the model wants it: uint8 [3, SIZE, SIZE], red, green, blue."""
    with Image.open(path) as image:
        tags = getattr(image, "tag_v2", {})  # of a TIFF: 258 are its bits, 262 says what 0 is
        top = 4095 if tags.get(258) == (12,) else WHITE16
        is_negative = tags.get(262) == 0
        image = flatten(upright(image), top, is_negative)
    return np.ascontiguousarray(np.asarray(fit(image)).transpose(2, 0, 1))


def upright(image):
    """Turn a picture as its EXIF says; where that is damaged, it stays."""
    image.load()
    try:
        orientation = image.getexif().get(274, 1)
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return image
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # to the numbers of Image.Transpose
    return image.transpose(turns[orientation]) if orientation in turns else image


def flatten(image, top, is_negative):
    """Bring any kind of picture to RGB, on BACKGROUND; 16-bit gray has values up to top."""
    if image.mode.startswith("I;16"):
        values = np.minimum(np.asarray(image).astype(np.uint32), top)
        values = top - values if is_negative else values
        image = Image.fromarray(((values * 255 + top // 2) // top).astype(np.uint8))
        return image.convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode in ("1", "L"):
        image = image.convert("L")
    elif image.mode != "CMYK":
        image = image.convert("RGB")
    image = to_srgb(image)
    if image.mode == "RGBA" and image.getchannel("A").getextrema()[1] > 3:  # else it hides all
        below = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        below.alpha_composite(image)
        image = below
    return image.convert("RGB")


def to_srgb(image):
    """Convert from the color profile in the file, if there is one that can be used."""
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        if (profile.profile.profile_description or "").startswith("sRGB"):
            return image
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, target, outputMode=mode)
    except (KeyError, OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return image


def fit(image):
    """Bring a picture to SIZE x SIZE."""
'''

FIT = {
    "squash": """    return image.resize((SIZE, SIZE), INTERPOLATION)
""",
    "crop": """    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return image.resize((SIZE, SIZE), INTERPOLATION)
""",
    "center": """    side = max(1, (7 * min(image.size) + 4) // 8)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return image.resize((SIZE, SIZE), INTERPOLATION)
""",
    "pad": """    longest = max(image.size)
    size = [max(1, (2 * each * SIZE + longest) // (2 * longest)) for each in image.size]
    canvas = Image.new("RGB", (SIZE, SIZE), BACKGROUND)
    small = image.resize(size, INTERPOLATION)
    canvas.paste(small, ((SIZE - size[0]) // 2, (SIZE - size[1]) // 2))
    return canvas
""",
}

MAIN = '''

def main(paths):
    """Predict files, BATCH at a time."""
    for start in range(0, len(paths), BATCH):
        part = paths[start : start + BATCH]
        found = predict(np.stack([read(path) for path in part]))
        for path, numbers in zip(part, found):
            print(json.dumps({"picture": path, **row(numbers)}))


if __name__ == "__main__":
    main(sys.argv[1:])
'''
