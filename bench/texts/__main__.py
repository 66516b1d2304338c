"""Models of texts on public sets, by the protocols that published figures have, beside TF-IDF.

    python -m bench.texts --sets FOLDER [--only NAME ...] [--folds N]

FOLDER holds text-mr-polarity.tar, text-trec6.tar, text-uci-sentences.tar, text-zh-waimai.tar and
text-reg-clear.tar; `amazon` and `movie` come from what `make install` brought. Each item is in one
fold by the hash of its group, or of its text. Each fold is answered by a model that was trained on
the others, of which a tenth chooses the epoch: params.yaml as it is, and `Task.changes`. Equal
texts count once. With `--folds` only the first N folds of a set are answered, and `folds` and `of`
of its line say so. What is measured is written to docs/sets/texts.jsonl, a line for each set; what
has a line there is not run again.

`score` is accuracy, or the correlation with the targets over all folds; `error` is its standard
error over folds; `tfidf` is the plain model that `evaluate` has beside each result, on the same
folds.
"""

import argparse
import json
from pathlib import Path

from bench.texts.run import TASKS, measure

RESULTS = Path("docs/sets/texts.jsonl")


def main() -> None:
    """Measure what was not measured yet."""
    parser = argparse.ArgumentParser(description="Models of texts on public sets.")
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--folds", type=int, help="the first so many of each set; all")
    options = parser.parse_args()
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    known = {json.loads(line)["set"] for line in lines}
    for name in options.only:
        if name not in known:
            line = json.dumps(measure(name, options.sets, options.folds), sort_keys=True)
            with RESULTS.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
