"""The page and what it asks for: cases, decisions, items, neighbors."""

import asyncio
import logging
import math
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from pipeline.clean.labels import parse_number
from pipeline.ground.errors import DataError, PipelineError
from pipeline.manifest.manifest import SPLITS
from pipeline.manifest.review import parse_decision
from pipeline.modality.facts import facts
from pipeline.modality.files import files
from pipeline.modality.types.protocols import ViewSize
from pipeline.reviewing.cases import Case, Queue, titles
from pipeline.reviewing.decisions import Change, Decisions, Disagreement
from pipeline.reviewing.neighbors import Nearest
from pipeline.reviewing.views import Views, Wanted

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}
_MOST_SAID = 6
_COLUMNS = ("path", "id", "label", "split", "group", "status", "reason")
_UNDECODED = ("decoder_crashed", "decoder_hung")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Decide(_Body):
    """A decision on an item of a case; `seen`: by id, what the page showed as decided."""

    case: int = Field(ge=0)
    row: int = Field(ge=0)
    decision: str = Field(max_length=2000)
    seen: dict[str, str] = Field(max_length=1000)


class Cells(_Body):
    """A row as it was before."""

    decision: str
    by: str
    when: str
    note: str


class Undo(_Body):
    """Rows to restore, by id; None: there was none."""

    rows: dict[str, Cells | None] = Field(max_length=1000)
    seen: dict[str, str] = Field(max_length=1000)


class Desk:
    """All that the page works with.

    Args:
        name: Of the data set.
        queue: What is asked.
        decisions: What was answered.
        views: Of the items.
        nearest: Of the items.
    """

    def __init__(
        self, name: str, queue: Queue, decisions: Decisions, views: Views, nearest: Nearest
    ) -> None:
        self.name, self.queue, self.decisions = name, queue, decisions
        self.views, self.nearest = views, nearest
        table = queue.sources.predictions
        self._predicted: dict[str, dict[Any, Any]] = {}
        if table is not None:
            rows = table.drop_duplicates("id").set_index("id", drop=False)
            self._predicted = {str(item): row for item, row in rows.to_dict("index").items()}
        self._rows = {path: row for row, path in enumerate(queue.sources.manifest["path"])}

    def describe(self) -> dict[str, Any]:
        """Return all cases and the items in them: JSON."""
        rows = sorted({row for case in self.queue.cases for row in case.rows})
        modality = self.queue.sources.modality
        codes = {code for case in self.queue.cases for code, _ in case.reasons}
        return {
            "name": self.name,
            "task": self.queue.sources.task,
            "by": self.decisions.by,
            "file": str(self.decisions.path),
            "classes": self.queue.classes,
            "noun": files(modality).NOUN[0],
            "titles": {code: each for code, each in titles(modality).items() if code in codes},
            "notes": self.queue.notes,
            "cases": [self._case(case) for case in self.queue.cases],
            "items": {row: self.item(row) for row in rows},
        }

    def _case(self, case: Case) -> dict[str, Any]:
        return {
            "reasons": [{"code": code, "text": text} for code, text in case.reasons],
            "rows": case.rows,
            "suggested": case.suggested,
            "says": case.says,
            "candidates": case.candidates,
            "turn": case.turn,
            "joint": case.is_joint,
        }

    def item(self, row: int) -> dict[str, Any]:
        """Return what is known of an item: JSON."""
        item = self.queue.sources.manifest.iloc[row]
        own = facts(self.queue.sources.modality).columns
        known = {name: _plain(item[name]) for name in (*_COLUMNS, *own)}
        return known | {
            "row": row,
            "actions": self.queue.actions(row),
            "test": item["split"] == SPLITS[-1],
            "is_read": all(known[name] is not None for name in own),
            "says": self._says(known),
        }

    def _says(self, item: dict[str, Any]) -> list[tuple[str, float]]:
        """Return what the model predicted of a test item: labels and probabilities, or a value."""
        row = self._predicted.get(str(item["id"]))
        if row is None or row["path"] != item["path"]:
            return []
        if "value" in row:
            return [(f"{float(row['value']):.6g}", math.nan)]
        chances = [(name[2:], float(p)) for name, p in row.items() if name.startswith("p_")]
        return sorted(chances, key=lambda each: -each[1])[:_MOST_SAID]

    def neighbors(self, row: int) -> list[dict[str, Any]]:
        """Return the nearest items: JSON."""
        path = self.queue.sources.manifest["path"].iloc[row]
        found = [(self._rows.get(each), cosine) for each, cosine in self.nearest.of(path)]
        return [
            self.item(each) | {"cosine": round(cosine, 3)}
            for each, cosine in found
            if each is not None
        ]

    def wanted(self, row: int, size: ViewSize) -> Wanted | None:
        """Return the view of a row; None where there is nothing to decode."""
        manifest = self.queue.sources.manifest
        if not 0 <= row < len(manifest):
            return None
        item = manifest.iloc[row]
        if pd.isna(item["id"]) or item["reason"] in _UNDECODED:
            return None
        return Wanted(item["path"], item["id"], size)

    def decide(self, body: Decide) -> dict[str, Any]:
        """Write a decision.

        Raises:
            HTTPException: There is no such case or item, or this decision has no effect on it.
            Disagreement: Somebody else decided otherwise.
            PipelineError: It cannot be written.
        """
        if (
            body.case >= len(self.queue.cases)
            or body.row not in (case := self.queue.cases[body.case]).rows
        ):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "there is no such case or item")
        try:
            decision = parse_decision("decision", body.decision.strip())
        except DataError as error:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        if decision.action not in self.queue.actions(body.row):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"{decision.action} has no effect")
        if decision.label is not None and not self._is_label(decision.label):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"no label: {decision.label}")
        cells = self.decisions.row(decision.text, self.queue.note(case, body.row))
        return self._write(
            [
                Change(each, body.seen.get(each, ""), cells)
                for each in self.queue.ids(case, body.row)
            ]
        )

    def _is_label(self, label: str) -> bool:
        if self.queue.sources.task == "classification":
            return label in self.queue.classes
        try:
            parse_number("decision", label)
        except DataError:
            return False
        return True

    def undo(self, body: Undo) -> dict[str, Any]:
        """Write rows back as they were. Raises as `decide`."""
        return self._write(
            [
                Change(item, body.seen.get(item, ""), cells.model_dump() if cells else None)
                for item, cells in body.rows.items()
            ]
        )

    def _write(self, changes: list[Change]) -> dict[str, Any]:
        before = self.decisions.write(changes)
        return {"before": before, **self.state()}

    def state(self) -> dict[str, Any]:
        """Return all decisions and the version of the file: JSON."""
        version = self.decisions.version()
        return {"version": version, "decisions": self.decisions.read()}


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else int(value)


def make_app(desk: Desk) -> FastAPI:
    """Return the application; `gate.Gate` goes around it."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_files(app)
    _add_questions(app, desk)
    _add_views(app, desk)
    _add_refusals(app)
    return app


def _add_files(app: FastAPI) -> None:
    for address, name in _FILES.items():
        app.add_route(address, _sender(_HERE / name), methods=["GET"])


def _sender(path: Path) -> Any:
    async def send(_: Request) -> Response:
        return FileResponse(path)

    return send


def _add_questions(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/queue")
    def queue() -> Response:
        return JSONResponse(_finite(desk.describe() | desk.state()))

    @app.get("/api/decisions")
    def decisions(version: str = "") -> Response:
        if version == desk.decisions.version():
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return JSONResponse(desk.state())

    @app.post("/api/decide")
    def decide(body: Decide) -> Response:
        return JSONResponse(desk.decide(body))

    @app.post("/api/undo")
    def undo(body: Undo) -> Response:
        return JSONResponse(desk.undo(body))


def _add_views(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/view/{row}/{size}")
    async def view(row: int, size: ViewSize) -> Response:
        if (wanted := desk.wanted(row, size)) is None:
            return JSONResponse({"error": "it is not decoded again here"})
        found = await asyncio.get_running_loop().run_in_executor(
            desk.views.threads, desk.views.get, wanted
        )
        if isinstance(found, str):
            return JSONResponse({"error": found})  # the page shows it in the item's place
        return Response(found.content, media_type=found.media_type)

    @app.get("/api/neighbors/{row}")
    def neighbors(row: int) -> Response:
        if not 0 <= row < len(desk.queue.sources.manifest):
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such item")
        return JSONResponse(_finite({"neighbors": desk.neighbors(row)}))


def _finite(value: Any) -> Any:
    """Write None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(Disagreement)
    def disagreed(_: Request, error: Disagreement) -> Response:
        return JSONResponse({"error": str(error), "current": error.current}, HTTPStatus.CONFLICT)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code)

    @app.exception_handler(RequestValidationError)
    def garbled(_: Request, error: RequestValidationError) -> Response:
        del error
        return JSONResponse({"error": "no such question"}, HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(PipelineError)
    def failed(_: Request, error: PipelineError) -> Response:
        return JSONResponse({"error": str(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)

    @app.exception_handler(OSError)
    def broken(_: Request, error: OSError) -> Response:
        where = f"{error.filename}: " if error.filename else ""
        return JSONResponse({"error": f"{where}{error.strerror}"}, HTTPStatus.INTERNAL_SERVER_ERROR)
