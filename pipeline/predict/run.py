"""Predict files with a model, by its own code: one row for every file, whatever it holds.

What is finished is kept, so that a run which was killed goes on; the output's bytes are the same.
"""

import logging
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import pyarrow as pa

from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import MachineError, ParamsError
from pipeline.ground.files import sha256_file, sha256_json, target_fault
from pipeline.ground.params import read_params
from pipeline.ground.stage import PARAMS
from pipeline.modality.files import files as files_of
from pipeline.modality.shown.inputs import item_input
from pipeline.predict.answers import answer_rows, called
from pipeline.predict.chunks import Chunk, Chunks, kept_in
from pipeline.predict.far import far_model, far_tables
from pipeline.predict.inputs import Input, find_inputs, sole_table
from pipeline.predict.rows import FORMATS, csv_header, csv_lines, schema_of, to_table, write_output
from pipeline.predict.summary import Summary
from pipeline.predict.tables import Columns, GivenTable
from pipeline.repo.state import scratch_folder
from pipeline.version.fetch import fetch_model
from pipeline.version.process.resident import Resident, ResidentDied, ResidentOptions

log = logging.getLogger(__name__)

_CHUNK = 256
"""Files that are kept together: what a kill costs at most."""


@dataclass(frozen=True)
class Options:
    """How files are predicted.

    Attributes:
        output: A .csv or .parquet file; None: CSV on standard output.
        overwrite: Replace an output that is there.
        machine: Processes that read items, or on a cluster predict; progress; the engine.
        device: `cpu`, `cuda` or `mps`; None: the kind the model was trained on.
        most: That an item may measure, as `ResidentOptions` has it.
        seconds: For reading one item, likewise.
        column: Of the texts in tables; None: by its name.
        encoding: Of such tables; None: it is found.
    """

    output: Path | None
    overwrite: bool
    machine: MachineParams
    device: str | None
    most: int | None = None
    seconds: float | None = None
    column: str | None = None
    encoding: str | None = None

    def resident(self, *, decoders: int) -> ResidentOptions:
        """Return how a model is run, with so many processes that read items."""
        return ResidentOptions(decoders, self.device, self.most, self.seconds)


def predict(model: str, given: Sequence[str], options: Options) -> str:
    """Predict all files, write the output, and give a summary in one line.

    Args:
        model: What `fetch_model` takes.
        given: Paths of files, folders, archives, label files and tables of texts. Where a table is
            all, its own columns stand before the answers.
        options: How.

    Raises:
        ParamsError: There is no such model, no file, or the output is there already.
        DataError: A label file or an archive is wrong as a whole.
        MachineError: Another process makes the same predictions; or the model's ended.
        IntegrityError: The model was altered.
        TrackingError: The server is away.
    """
    if options.output is not None:
        _check_output(options.output, overwrite=options.overwrite)
    folder = fetch_model(model)
    texts = _columns(folder.modality, options)
    table = sole_table(given, texts)
    if table is not None:
        _refuse_own(options.output, table.path)
    files = find_inputs(given, but=options.output, texts=texts, table=table)
    decoders = options.machine.count_workers()
    try:
        with closing(Resident(folder, options.resident(decoders=decoders))) as resident:
            return predict_files(resident, files, options, table)
    except ResidentDied as error:
        raise MachineError(
            "rootstock predict",
            str(error),
            remedy="run the same command again to go on; fewer --workers need less memory",
        ) from error


def predict_files(
    resident: Resident, files: Sequence[Input], options: Options, table: GivenTable | None = None
) -> str:
    """Predict files with a model that is at work; else as `predict`.

    Args:
        resident: The model.
        files: What is predicted.
        options: How.
        table: Whose texts the files are, in their order, if they are.

    Raises:
        MachineError: Another process makes the same predictions; or standard output is stuck.
        ResidentDied: The model's process ended.
    """
    home = scratch_folder() / "predict" / _key(resident, files, options)
    with kept_in(home):
        chunks = Chunks(home, files, _CHUNK)
        schema = schema_of(resident.describe())
        _finish(resident, chunks, schema, options)
        summary = Summary(called(resident))
        tables = _counted(chunks, summary)
        given = 0
        if table is not None:
            own = schema_of(resident.describe(), has_names=False)
            tables, given = table.joined(tables, own), len(table.schema)
            schema = table.joined_schema(own)
        if options.output is not None:
            write_output(options.output, tables, schema, given=given)
        else:
            lines = (csv_lines(each, given=given) for each in tables)
            _print(chain([csv_header(schema)], lines))
    return summary.text()


def _columns(modality: str, options: Options) -> Columns | None:
    """Return which columns of tables hold texts; None where items are none.

    Raises:
        ParamsError: A column or an encoding is named, and items are no texts; or there is no
            such encoding.
    """
    item = item_input(modality)
    if not item.is_text:
        for field, got in (("--column", options.column), ("--encoding", options.encoding)):
            if got is not None:
                told = f"is for models of texts; this one takes {item.many}"
                raise ParamsError("rootstock predict", told, field=field, got=got)
        return None
    column, usual = _of_project()
    names = dict.fromkeys((column, item.column, *files_of(modality).WORDS))
    found = Columns(tuple(filter(None, names)), encoding=options.encoding, usual=usual)
    if options.column is None:
        return found
    return replace(found, names=(options.column,), is_asked=True)


def _of_project() -> tuple[str | None, str | None]:
    """Return `data.text` and `data.encoding` of the params.yaml here, where there is one."""
    data = read_params(PARAMS).get("data") if PARAMS.is_file() else None
    given = data if isinstance(data, dict) else {}
    column, encoding = (
        found if isinstance(found := given.get(key), str) else None for key in ("text", "encoding")
    )
    return column, encoding


def _refuse_own(output: Path | None, table: Path) -> None:
    if output is not None and output.exists() and output.samefile(table):
        raise ParamsError(
            "rootstock predict",
            "must be another file than the table that is read",
            field="--output",
            got=str(output),
        )


def _print(texts: Iterable[str]) -> None:
    """Write to standard output, all of it or an error.

    Python's own stream has no buffer under PYTHONUNBUFFERED, and drops what one write leaves over.

    Raises:
        MachineError: It takes no more at the moment, and does not wait.
    """
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as stream:
            for text in texts:
                stream.write(text.encode())  # UTF-8, whatever the terminal has
    except BlockingIOError as error:
        raise MachineError(
            "standard output",
            "must wait while it is full, and does not block",
            remedy="send it through `| cat`, or name a file with --output",
        ) from error


def _check_output(path: Path, *, overwrite: bool) -> None:
    if path.suffix.lower() not in FORMATS:
        raise ParamsError(
            "rootstock predict", "must end in .csv or .parquet", field="--output", got=str(path)
        )
    if fault := target_fault(path):
        raise ParamsError(
            "rootstock predict", fault, field="--output", got=str(path), remedy="name another file"
        )
    if path.is_dir() or (os.path.lexists(path) and not overwrite):
        raise ParamsError(path, "is there already", remedy="name another file, or add --overwrite")


def _key(resident: Resident, files: Sequence[Input], options: Options) -> str:
    """Name all that decides the rows, but for the files' contents."""
    package = resident.folder.code / "pipeline"
    code = {
        path.relative_to(package).as_posix(): sha256_file(path)
        for path in sorted(package.rglob("*.py"))
    }
    facts = {
        "model": resident.folder.md5,
        "bundle": sha256_file(resident.folder.bundle),
        "code": code,
        "fingerprint": resident.describe()["fingerprint"],
        "limits": asdict(resident.limits),
        "columns": schema_of(resident.describe()).names,
        "files": [[file.path, str(file.root.resolve())] for file in files],
    }
    return sha256_json(facts)


def _finish(resident: Resident, chunks: Chunks, schema: pa.Schema, options: Options) -> None:
    """Predict what is not there from a run before."""
    total = sum(len(chunk.files) for chunk in chunks.all)
    done = total - sum(len(chunk.files) for chunk in chunks.todo)
    if done:
        log.info("%d of %d %s are there from a run before", done, total, called(resident))
    with closing(_tables(resident, chunks.todo, schema, options)) as tables:
        for chunk, table in zip(chunks.todo, tables, strict=True):
            chunks.save(chunk, table)
            done += len(chunk.files)
            if options.machine.shows_lines():
                log.info("predict: %d of %d %s", done, total, called(resident))


def _tables(
    resident: Resident, todo: Sequence[Chunk], schema: pa.Schema, options: Options
) -> Generator[pa.Table, None, None]:
    """Yield the rows of chunks, in order."""
    files = [file for chunk in todo for file in chunk.files]
    if options.machine.engine == "ray":
        work = far_model(resident, files, options.resident(decoders=1))
        yield from far_tables(work, [chunk.files for chunk in todo], options.machine)
        return
    with closing(answer_rows(resident, files, options.machine)) as rows:
        for chunk in todo:
            yield to_table([next(rows) for _ in chunk.files], schema)


def _counted(chunks: Chunks, summary: Summary) -> Iterator[pa.Table]:
    for table in chunks.tables():
        summary.add(table)
        yield table
