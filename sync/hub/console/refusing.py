"""Why the console does not do something, in both languages: for a page in its reader's, for a program as a
code that stays and an English sentence. No request, no archive."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from sync.hub.console.words import WORDS
from sync.hub.console.words.refusals import ANY_FIELD, EXPECTED, FIELDS
from sync.hub.refusals import SaidRefusal, expectation
from sync.vocabulary.rulings import Text

MOST_FIELDS: Final = 5
_MOST: Final = 300


class Refused(HTTPException):
    """`key` stands in `words` as `refused.KEY`, `more` goes into its places; a `Text` in the language."""

    def __init__(self, status: int, key: str, *more: object) -> None:
        self.key = key
        self.more = more
        super().__init__(status, detail=said(f"refused.{key}", *more).en)


def said(key: str, *more: object) -> Text:
    """Words of the console with what goes into them, in both languages."""
    zh, en = WORDS[key]
    return Text(_filled(zh, [_zh(each) for each in more]), _filled(en, [_en(each) for each in more]))


def _filled(words: str, more: list[object]) -> str:
    return words.format(*more) if more else words


def _zh(value: object) -> object:
    return value.zh if isinstance(value, Text) else value


def _en(value: object) -> object:
    return value.en if isinstance(value, Text) else value


def words_of(error: Exception) -> Text:
    """What an error says of itself: ours have both languages, others as far as can be said."""
    if isinstance(error, SaidRefusal):
        return Text(error.text.zh[:_MOST], error.text.en[:_MOST])
    return expectation(str(error)[:_MOST])


def fields_not_understood(errors: Iterable[Mapping[str, Any]]) -> list[Text]:
    """Of each field that was not understood its name, and what was expected."""
    return [_field_not_understood(each) for each in list(errors)[:MOST_FIELDS]]


def _field_not_understood(error: Mapping[str, Any]) -> Text:
    names = [each for each in error["loc"][1:] if isinstance(each, str)] or [""]
    kind, context = str(error["type"]), {**error.get("ctx", {})}
    field = field_words(names[0])
    zh, en = EXPECTED.get(kind, EXPECTED[""])
    context.setdefault("expected", error.get("msg", ""))
    return Text(f"{field.zh}：{zh.format(**context)}", f"{field.en}: {en.format(**context)}")


def field_words(name: str) -> Text:
    """A field as its form calls it; one that this version does not know as it calls itself."""
    zh, en = FIELDS.get(name, ("", "") if name else ANY_FIELD)
    return Text(zh or name, en or name)


def wants_page(request: Request) -> bool:
    """A person in a browser; scripts and programs are told in JSON."""
    return "text/html" in request.headers.get("accept", "")


def in_json(status: int, code: str, told: Sequence[Text]) -> JSONResponse:
    """To a program: a code that stays, and an English sentence. `words` are for the pages' own scripts."""
    zh, en = "；".join(each.zh for each in told), "; ".join(each.en for each in told)
    return JSONResponse({"code": code, "detail": en, "words": {"zh": zh, "en": en}}, status)


def bare(request: Request, status: int, key: str, *, retry_after_s: int = 0) -> Response:
    """Said without a look at who asks, the archive or anything else that may be in trouble: to a browser in
    both languages."""
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(retry_after_s)} if retry_after_s else {})
    if wants_page(request):
        return HTMLResponse(_bare_page(key), status, headers=headers)
    answer = in_json(status, key, [said(f"refused.{key}")])
    answer.headers.update(headers)
    return answer


@functools.cache
def _bare_page(key: str) -> str:
    """Whole in itself: what refuses a page refuses its style sheet, too."""
    zh, en = (escape(each) for each in WORDS[f"refused.{key}"])
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{zh} · {en}</title><style>'
        "body{margin:20vh auto;max-width:40em;padding:0 1em;font:20px/1.6 sans-serif;color:#e8edf2;"
        "background:#10161d}p[lang=en]{color:#b7c3cf}</style></head>"
        f'<body><p>{zh}</p><p lang="en">{en}</p></body></html>'
    )
