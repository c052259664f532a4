"""检测结果: what the laboratory says of a sample that is out, and what is recalled for it."""

from __future__ import annotations

from edge.handheld.context import Context
from edge.handheld.effects import Commit, Told
from edge.handheld.inspection.state import MOST_SHORT, MOST_TEXT, Sample, State, Stepped, changed, not_done
from edge.handheld.inspection.wants import ResultEntered
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.facts import Stream
from sync.vocabulary.rulings import Text


def result_entered(state: State, context: Context, event: ResultEntered) -> Stepped:
    sample = next((each for each in state.samples if each.sample_no == event.sample_no), None)
    if sample is None or context.officer is None or not context.may(sample.authorisation):
        return not_done(state, Text("无此样品或无授权", "No such sample for you"))
    if event.handling in ("sample_sent", "referred") or not event.report_no.strip():
        return not_done(state, Text("填写报告号和处置", "Enter the report's number and the handling"))
    if not event.passed and event.handling == "released":
        return not_done(state, Text("检测不合格不能放行", "What failed is not released"))
    recall = None if event.passed else _recall_of(sample, event)
    if not event.passed and recall is None:
        return not_done(state, Text("选择召回范围", "Choose what is recalled"))
    result = fact.LaboratoryResult(
        sample_no=sample.sample_no,
        order_no=sample.order_no,
        officers=(context.officer.officer_no,),
        passed=event.passed,
        report_no=event.report_no.strip()[:MOST_SHORT],
        found=event.found.strip()[:MOST_TEXT],
        handling=event.handling,
        recall=recall,
    )
    samples = tuple(each for each in state.samples if each is not sample)
    number = state.request + 1
    entered = (*state.entered, (number, sample))
    stream = Stream.ROUTINE if event.passed else Stream.ALARM
    state = changed(state, request=number, samples=samples, entered=entered, told=_told(sample, recall))
    return state, (Commit((Told(stream, result),), request=number),)


def _told(sample: Sample, recall: fact.RecallAsked | None) -> Text:
    """What was entered has left the list: what became of it stays said."""
    if recall is None:
        return Text(f"{sample.sample_no} 合格，已记录", f"{sample.sample_no} passed, on record")
    return Text(
        f"{sample.sample_no} 不合格，已向中心申请召回",
        f"{sample.sample_no} failed, the centre is asked to recall",
    )


def _recall_of(sample: Sample, event: ResultEntered) -> fact.RecallAsked | None:
    by = set(event.recall_by)
    found = event.found.strip()[:200] or event.report_no.strip()
    asked = fact.RecallAsked(
        reason_zh=f"检测不合格：{found}",
        reason_en=f"Laboratory: {found}",
        waybill_nos=(sample.waybill_no,) if "waybill" in by and sample.waybill_no else (),
        trace_codes=(sample.trace_code,) if "trace_code" in by and sample.trace_code else (),
        skus=(sample.sku,) if "sku" in by and sample.sku else (),
        batch_nos=(sample.batch_no,) if "batch" in by and sample.batch_no else (),
        enterprises=(sample.enterprise,) if "enterprise" in by and sample.enterprise else (),
    )
    names = (asked.waybill_nos, asked.trace_codes, asked.skus, asked.batch_nos, asked.enterprises)
    return asked if any(names) else None
