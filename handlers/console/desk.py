"""Does what each command says: asks the business, and shows the answer to a person or to a program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.errors import CarillonError
from handlers.console import reading, terminal
from handlers.console.client import Answer, Business, Parts, folder_of, reach


class Desk:
    """One command's worth of work for one config file."""

    def __init__(self, load_parts: Callable[[], Parts], config: Path, *, as_json: bool) -> None:
        self._load_parts, self._config, self._as_json = load_parts, config, as_json

    # --- what every command does

    @contextmanager
    def _business(self, *, aside: bool = False) -> Iterator[tuple[Business, Answer]]:
        """The business and its head, which is shown first; `aside` where standard output is for data."""
        with plainly(), reach(self._load_parts, self._config) as business:
            head = business.hello()
            if aside:
                if sys.stderr.isatty():
                    sys.stderr.write("".join(f"{line}\n" for line in terminal.head(head)))
            elif not self._as_json:
                terminal.show(terminal.head(head))
            yield business, head

    def _tell(self, answer: Mapping[str, Any], lines: Callable[[], list[Any]]) -> None:
        """The answer as JSON for a program, or in lines for a person."""
        if self._as_json:
            print(json.dumps(answer, ensure_ascii=False))
        else:
            terminal.show(lines())

    @property
    def _path(self) -> str:
        return str(self._config.absolute())

    # --- commands

    def serve(
        self, *, demo: bool, roles: Sequence[str], listen: Mapping[str, str], workers: int, log_level: str | None
    ) -> None:
        """Serve until Ctrl-C."""
        from gateway import logs  # noqa: PLC0415  other commands write down nothing
        from handlers.console.serving import serve  # noqa: PLC0415  nor do they have listeners

        with plainly():
            logs.set_up(sys.stderr, log_level)
            serve(self._load_parts(), self._config, demo=demo, roles=roles, listen=listen, workers=workers)

    def check(self) -> None:
        """Every mistake, or that there is none."""
        with self._business() as (business, _):
            answer = business.ask("check", config=self._path)
            lines = [f"warning: {each}" for each in answer["warnings"]]
            self._tell(answer, lambda: [*lines, f"{self._config}: no mistakes."])

    def doctor(self) -> None:
        """What is wrong around us; exit status 1 when anything is."""
        from handlers.console import doctor, findings  # noqa: PLC0415  it asks carriers; others need not load that

        with plainly():
            lines = doctor.examine(self._config, os.environ)
        if self._as_json:
            print(json.dumps(findings.facts_of(lines), ensure_ascii=False))
        else:
            terminal.doctor(lines)
        if findings.worst(lines) is findings.Verdict.WRONG:
            raise SystemExit(1)

    def plan(self) -> None:
        """What apply would do; exit status 1 when it would refuse."""
        with self._business() as (business, head):
            answer = self._count("planning", business, "plan", config=self._path)
            self._tell(answer, lambda: [*terminal.plan(answer, head["zones"][0]), terminal.planned(answer)])
        if answer["mistakes"]:
            raise SystemExit(1)

    def apply(self, plan: str, *, accept: bool, go: bool, yes: bool) -> None:
        """Launch what is new, stop what is gone."""
        with self._business() as (business, head):
            wants = {"plan": plan, "accept": accept, "go": go, "yes": yes}
            answer = self._count("planning", business, "apply", config=self._path, **wants)
            zone = head["zones"][0]
            self._tell(answer, lambda: [*terminal.plan(answer["plan"], zone), *terminal.applied(answer)])

    def _count(self, what: str, business: Business, operation: str, **arguments: Any) -> Answer:
        with terminal.counting(what) as count:
            return business.ask(operation, lambda progress: count(progress["people"]), **arguments)

    def preview(self, campaign: str, number: str) -> None:
        """A text as phones show it."""
        with self._business() as (business, _):
            answer = business.ask("preview", config=self._path, campaign=campaign, number=number)
            self._tell(answer, lambda: terminal.preview(answer))

    def status(self) -> None:
        """How everything stands."""
        with self._business() as (business, head):
            answer = business.ask("status")
            self._tell({**head, **answer}, lambda: terminal.status(answer, head["zones"][0], head["now"]))

    def change(self, verb: str, campaign: str, **why: str) -> None:
        """Pause, resume or stop."""
        with self._business() as (business, head):
            answer = business.ask(verb, campaign=campaign, **why)
            line = terminal.audience_line(answer, head["zones"][0], head["now"])
            self._tell(answer, lambda: [terminal.labelled(campaign, line)])

    def report(self, campaign: str) -> None:
        """What a campaign came to."""
        with self._business() as (business, head):
            answer = business.ask("report", campaign=campaign)
            self._tell(answer, lambda: terminal.report(answer, head["zones"][0], head["now"]))

    def explain(self, number: str) -> None:
        """One person's story."""
        with self._business() as (business, head):
            answer = business.ask("explain", number=number)
            self._tell(answer, lambda: terminal.explain(answer, head["zones"][0], head["now"]))

    def route(self, number: str, campaign: str, lane: str) -> None:
        """Who texts a number, and why."""
        with self._business() as (business, _):
            answer = business.ask("route", config=self._path, number=number, campaign=campaign, lane=lane)
            self._tell(answer, lambda: terminal.route(answer))

    def text(self, number: str, words: str, to: str) -> None:
        """A virtual phone texts in."""
        with plainly(), reach(self._load_parts, self._config) as business:
            answer = business.ask("text", number=number, words=words, to=to)
            self._tell(answer, lambda: terminal.reply(answer))

    def import_file(self, file: Path, program: str | None) -> None:
        """Read people from a CSV file."""
        with self._business() as (business, _):
            known = business.ask("import_begin", config=self._path, digest=reading.digest(file), program=program)
            rejects = folder_of(self._config, os.environ) / f"{file.stem}.rejects.csv"
            total = file.stat().st_size
            with terminal.counting(f"reading {file.name}", total) as count:
                answer = reading.import_file(business.ask, self._path, file, known, rejects, count)
            self._tell(answer, lambda: import_lines(answer, file.name))

    def import_stops(self, file: Path, program: str, *, column: str, source: str, is_trial: bool) -> None:
        """Take over a list of STOPs."""
        from handlers.console import stop_lists  # noqa: PLC0415  so that other commands need not load it

        with self._business() as (business, _):
            known = business.ask(
                "stops_begin", config=self._path, digest=reading.digest(file), column=column, program=program
            )
            kind = "dry-run" if is_trial else "stops"
            rejects = folder_of(self._config, os.environ) / f"{file.stem}.{kind}.rejects.csv"
            with terminal.counting(f"reading {file.name}", file.stat().st_size) as count:
                answer = stop_lists.take(
                    business.ask, self._path, file, known, rejects, count, column=column, source=source,
                    is_trial=is_trial,
                )  # fmt: skip
            self._tell(answer, lambda: stop_lists.lines(answer, file.name))

    def export(self) -> None:
        """Everybody, as CSV or JSON lines."""
        from campaigns import exporting  # noqa: PLC0415

        with self._business(aside=True) as (business, _):
            first = business.ask("export_page", after=0)
            if self._as_json:
                sys.stdout.buffer.writelines(exporting.json_lines(pages(business, first)))
            else:
                sys.stdout.writelines(exporting.csv_lines(first["headings"], pages(business, first)))

    def key_new(self, client: str, **wanted: Any) -> None:
        """A key for a program, shown once."""
        from handlers.console import keys  # noqa: PLC0415  so that other commands need not load it

        with self._business() as (business, _):
            answer = business.ask("key_new", client=client, **wanted)
            self._tell(answer, lambda: keys.made_lines(answer))

    def key_list(self, client: str) -> None:
        """The keys of programs."""
        from handlers.console import keys  # noqa: PLC0415  the same

        with self._business() as (business, head):
            answer = business.ask("key_list", client=client)
            if self._as_json:
                print(json.dumps(answer, ensure_ascii=False))
            else:
                keys.show_list(answer, head["zones"][0])

    def key_end(self, id_: str, *, after: str) -> None:
        """A key that opens no door any more."""
        from handlers.console import keys  # noqa: PLC0415  the same

        with self._business() as (business, _):
            answer = business.ask("key_end", id=id_, after=after)
            self._tell(answer, lambda: keys.ended_lines(answer))

    def webhook_list(self) -> None:
        """What programs are told, at a glance."""
        from handlers.console import webhooks  # noqa: PLC0415  the same

        with self._business() as (business, _):
            answer = business.ask("webhook_list")
            self._show(answer, lambda: webhooks.list_lines(answer))

    def webhook_show(self, client: str) -> None:
        """What one program was told last."""
        from handlers.console import webhooks  # noqa: PLC0415  the same

        with self._business() as (business, head):
            answer = business.ask("webhook_show", client=client)
            self._show(answer, lambda: webhooks.shown_lines(answer, head["zones"][0]))

    def webhook_secret(self, client: str) -> None:
        """What a program checks our signatures with, and nothing else, so that it can go into a file."""
        with self._business(aside=True) as (business, _):
            answer = business.ask("webhook_secret", client=client)
            self._tell(answer, lambda: answer["secrets"])

    def webhook_replay(self, client: str, since: str, until: str, kinds: Sequence[str]) -> None:
        """What is told again."""
        from handlers.console import webhooks  # noqa: PLC0415  the same

        with self._business() as (business, _):
            answer = business.ask("webhook_replay", client=client, since=since, until=until, kinds=list(kinds))
            self._tell(answer, lambda: webhooks.replay_lines(answer))

    def listen(self, client: str, url: str) -> None:
        """Forward what a program is told, until Ctrl-C."""
        from handlers.console import forwarding  # noqa: PLC0415  the same

        with self._business() as (business, head):
            calls = forwarding.forwarded(business, client, url)
            forwarding.show(calls, head["zones"][0], as_json=self._as_json)

    def _show(self, answer: Mapping[str, Any], lines: Callable[[], list[Any]]) -> None:
        """The same as `_tell`, of lines among which tables stand."""
        from handlers.console import webhooks  # noqa: PLC0415  the same

        if self._as_json:
            print(json.dumps(answer, ensure_ascii=False))
        else:
            webhooks.show(lines())

    def migrate_store(self, source: str, target: str, *, undo: bool, force: bool) -> None:
        """Move the business to another store; exit status 1 when the two do not agree at the end."""
        from handlers.console import moving  # noqa: PLC0415  no other command needs it

        config = self._config.absolute()
        with plainly():
            if force and not undo:
                raise CarillonError("--force is for --undo: a move itself never goes over what is there")
            if undo:
                answer = moving.undo(config, source, target, force=force)
                back = answer["served_again"]
                self._tell(answer, lambda: [f"{back} may be served again: write it into config.yaml under store:"])
                return
            answer = moving.move(config, source, target)
            self._tell(answer, lambda: moving.lines(answer))
        if not answer["is_complete"]:
            raise SystemExit(1)

    def convert(self, files: Sequence[Path], kind: str, out: Path | None, *, with_secrets: bool) -> None:
        """A config file of another gateway's files; what is not as it was stands beside it."""
        from handlers.console import convert, convert_writing  # noqa: PLC0415  no other command needs it

        with plainly():
            if with_secrets and out is None:
                raise CarillonError("--with-secrets puts files beside the config: say where, with --out config.yaml")
            draft = convert.convert(files, kind)
            text = convert_writing.written(draft, ", ".join(map(str, files)))
            made = convert.save(draft, text, out, with_secrets=with_secrets) if out else []
            told = convert.facts(draft, text, out, made)
        if out is None and not self._as_json:
            sys.stdout.write(text)
            sys.stderr.writelines(f"{line}\n" for line in convert.lines(draft, told))
        else:
            self._tell(told, lambda: convert.lines(draft, told))

    def schema(self) -> None:
        """The JSON Schema."""
        from campaigns.schema import schema_text  # noqa: PLC0415
        from campaigns.settings import Config  # noqa: PLC0415
        from gateway.config import load  # noqa: PLC0415

        with plainly():
            sys.stdout.write(schema_text(load(self._config, Config, os.environ).value))


@contextmanager
def plainly() -> Iterator[None]:
    """What the person at the keyboard can mend is told in words, with exit status 1."""
    try:
        yield
    except CarillonError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None


def pages(business: Business, page: Answer) -> Iterator[Mapping[str, object]]:
    """All rows of an export, a page in memory at a time."""
    while page["rows"]:
        yield from page["rows"]
        page = business.ask("export_page", after=page["after"])


# --- importing -------------------------------------------------------------------------------------------------------


def import_lines(answer: Answer, name: str) -> list[Any]:
    """What an import came to."""
    lines: list[Any] = [
        terminal.labelled("people", terminal.imported(answer, name, terminal.nearby(answer["rejects"])))
    ]
    if answer["before"]:
        lines.append(terminal.labelled("", f"it had been read through line {answer['before']:,} before", "dim"))
    lines.append(terminal.labelled("consent", f"{answer['joined']:,} joined, {answer['left']:,} had left and stay out"))
    if answer["paste"]:
        lines += ["Columns that nobody asked for; to keep them, put these lines under attributes:", answer["paste"]]
    return lines
