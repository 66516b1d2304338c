"""`use.py` of texts."""

from pipeline.export.formats import output_name
from pipeline.export.program import Parts, Use, compose
from pipeline.model.bundle import Bundle
from pipeline.text.net.bert import window_of
from pipeline.text.read.limits import MAX_CHARS

_HEADER = '''"""Predict texts with <FILE>: python use.py FILE..., or lines on standard input.

Prints a line of JSON for each. Needs <PACKAGES>.
"""
'''

_READ = '''

def read(content):
    """Give the numbers of a text's tokens; it is UTF-8. ValueError says why there are none."""
    text = usable_text(content, MAX_CHARS).encode()[:MAX_BYTES].decode(errors="ignore")
    return in_windows(TOKENIZER.read(text, MAX_TOKENS), WINDOW)


def side_by_side(found):
    """Give numbers as the model wants them: int64 [B, T], filled up with zeros."""
    tokens = np.zeros((len(found), padded(max(map(len, found)))), np.int64)
    for place, numbers in enumerate(found):
        tokens[place, : len(numbers)] = numbers
    return tokens
'''

_MAIN = '''

def answer(contents):
    """Give a row for each text, which is UTF-8: an answer, or why there is none."""
    rows, found = [], []
    for content in contents:
        try:
            found.append(read(content))
            rows.append(None)
        except ValueError as error:
            rows.append({"error": str(error)})
    numbers = iter(predict(side_by_side(found)) if found else ())
    return [each or row(next(numbers)) for each in rows]


def main(paths):
    """Answer files, or the lines of standard input, BATCH at a time."""
    texts = [(path, Path(path).read_bytes()) for path in paths]
    texts = texts or [(f"line {number}", line) for number, line in enumerate(sys.stdin.buffer, 1)]
    for start in range(0, len(texts), BATCH):
        names, contents = zip(*texts[start : start + BATCH])
        for name, found in zip(names, answer(contents)):
            print(json.dumps({"text": name, **found}))


if __name__ == "__main__":
    main(sys.argv[1:])
'''


def program(use: Use, bundle: Bundle) -> str:
    """Put the program together."""
    spec = bundle.decode
    constants = {
        "MAX_TOKENS": str(spec.max_tokens),
        "MAX_BYTES": str(spec.row_bytes),
        "WINDOW": str(window_of(bundle.architecture)),
        "MAX_CHARS": str(MAX_CHARS),
    }
    items = ("tokens", "int64 tokens [B, T]")
    parts = Parts(_HEADER, (), constants, items, _READ, _MAIN)
    return compose(use, bundle, parts, output=output_name(bundle))
