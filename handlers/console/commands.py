"""Every command of `run.py`: its name, its arguments and one line of help. The work is done in `desk`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handlers.console.choices import OneOf

if TYPE_CHECKING:
    from handlers.console.client import Parts
    from handlers.console.desk import Desk

LOG_LEVEL = "CARILLON_LOG_LEVEL"
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
campaign = click.argument("campaign")


class Words(click.Group):
    """A group that knows the nearest right command, and lists them in the order in which they are wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of this file."""
        return [*self.commands]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command; an unknown one names the nearest."""
        from gateway.wording import nearest  # noqa: PLC0415  only after a slip

        name = args[0] if args else ""
        if args and self.get_command(ctx, name) is None and not name.startswith("-"):
            near = nearest(name, self.list_commands(ctx))
            hint = f"; did you mean {near}?" if near else "; run.py --help lists them all"
            raise click.ClickException(f'no command "{name}"{hint}')
        return super().resolve_command(ctx, args)


@click.group(cls=Words, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", default="config.yaml", show_default=True, type=click.Path(path_type=Path),
              help="The file that describes everything.")  # fmt: skip
@click.pass_context
def cli(context: click.Context, config: Path) -> None:
    """Carillon sends campaigns to phones and takes their answers, as config.yaml says."""
    load_parts: Callable[[], Parts] = context.obj
    context.obj = (load_parts, config)


def desk(*, as_json: bool = False) -> Desk:
    """The one who does the work."""
    from handlers.console.desk import Desk  # noqa: PLC0415  so that --help answers at once

    load_parts, config = click.get_current_context().find_root().obj
    return Desk(load_parts, config, as_json=as_json)


@cli.command()
@click.option("--demo", is_flag=True, help="Import the sample, apply the config, and say what to try. Simulator only.")
@click.option("--role", "roles", multiple=True, type=OneOf("role", "web", "plan", "dispatch", "all"), default=["all"],
              help="What this process does, where several share a PostgreSQL; may be said more than once.")  # fmt: skip
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64),
              help="How many processes to serve with on this machine. PostgreSQL only.")  # fmt: skip
@click.option("--public", default="", metavar="HOST:PORT", help="Instead of listen.public.")
@click.option("--private", default="", metavar="HOST:PORT", help="Instead of listen.private.")
@click.option("--log-level", envvar=LOG_LEVEL, type=OneOf("log level", "debug", "info", "warning", "error"),
              help="From where on things are written down; on a terminal else only trouble is.")  # fmt: skip
def serve(demo: bool, roles: tuple[str, ...], workers: int, public: str, private: str, log_level: str | None) -> None:
    """Send, receive and show pages until Ctrl-C."""
    if log_level is not None:
        os.environ[LOG_LEVEL] = log_level  # workers inherit it
    listen = {"public": public, "private": private}
    desk().serve(demo=demo, roles=roles, listen=listen, workers=workers, log_level=log_level)


@cli.command()
@as_json
def check(as_json: bool) -> None:
    """Tell every mistake in the config file."""
    desk(as_json=as_json).check()


@cli.command()
@as_json
def plan(as_json: bool) -> None:
    """Show who would get what, and what it would cost."""
    desk(as_json=as_json).plan()


@cli.command()
@click.argument("plan", default="")
@click.option("--accept", is_flag=True, help="Go on although it grew since the plan, or asks a question.")
@click.option("--go", is_flag=True, help="Launch what our own phones have seen (real carriers).")
@click.option("--yes", is_flag=True, help="Launch without waiting for --go: for scripts.")
@as_json
def apply(plan: str, accept: bool, go: bool, yes: bool, as_json: bool) -> None:
    """Launch what is new in the file, stop what is gone.

    With the id of a PLAN only if nothing has changed since it was shown.
    """
    desk(as_json=as_json).apply(plan, accept=accept, go=go, yes=yes)


@cli.command()
@campaign
@click.argument("number", default="")
@as_json
def preview(campaign: str, number: str, as_json: bool) -> None:
    """Show a campaign's text as phones will, parts and price."""
    desk(as_json=as_json).preview(campaign, number)


@cli.command()
@as_json
def status(as_json: bool) -> None:
    """Show how everything stands."""
    desk(as_json=as_json).status()


@cli.command()
@campaign
@click.option("--why", default="", help="Kept with the campaign.")
@as_json
def pause(campaign: str, why: str, as_json: bool) -> None:
    """Hold a campaign; nothing more leaves."""
    desk(as_json=as_json).change("pause", campaign, why=why)


@cli.command()
@campaign
@as_json
def resume(campaign: str, as_json: bool) -> None:
    """Go on with a held campaign."""
    desk(as_json=as_json).change("resume", campaign)


@cli.command()
@campaign
@click.option("--why", default="", help="Kept with the campaign.")
@as_json
def stop(campaign: str, why: str, as_json: bool) -> None:
    """End a campaign for good; what has not left will not."""
    desk(as_json=as_json).change("stop", campaign, why=why)


@cli.command()
@campaign
@as_json
def report(campaign: str, as_json: bool) -> None:
    """Show who got a campaign, who did not, why, and the answers."""
    desk(as_json=as_json).report(campaign)


@cli.command()
@click.argument("number")
@as_json
def explain(number: str, as_json: bool) -> None:
    """Tell one person's whole story."""
    desk(as_json=as_json).explain(number)


@cli.command()
@click.argument("number")
@click.option("--campaign", default="", help="Of this campaign; else of any.")
@click.option("--lane", default="campaigns", show_default=True, help="campaigns or replies.")
@as_json
def route(number: str, campaign: str, lane: str, as_json: bool) -> None:
    """Show who would text a number, from where, and why."""
    desk(as_json=as_json).route(number, campaign, lane)


@cli.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--program", default=None, help="What a yes in the file's consent column joins.")
@as_json
def import_(file: Path, program: str | None, as_json: bool) -> None:
    """Read people from a CSV FILE; safe to repeat.

    A file that was broken off goes on where it was left.
    """
    desk(as_json=as_json).import_file(file, program)


@cli.command("import-stops")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--program", default="", help="They leave this programme only; else everything, as by STOP.")
@click.option(
    "--column", default="", metavar="HEADING", help="Where the number stands, if not under phone and its kin."
)
@click.option("--source", default="", help="Where the list comes from, for the ledger; else the name of the file.")
@click.option("--dry-run", is_flag=True, help="Tell what it would come to, and change nothing.")
@as_json
def import_stops(file: Path, program: str, column: str, source: str, dry_run: bool, as_json: bool) -> None:
    """Take over a FILE of people who have left elsewhere.

    One number a line, or a CSV file. Safe to repeat; a list that was broken off goes on where it was left.
    """
    desk(as_json=as_json).import_stops(file, program, column=column, source=source, is_trial=dry_run)


@cli.command()
@as_json
def export(as_json: bool) -> None:
    """Write everybody to standard output as CSV or JSON lines."""
    desk(as_json=as_json).export()


@cli.command()
def schema() -> None:
    """Write the JSON Schema of the config file, for editors."""
    desk().schema()


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("number")
@click.argument("words", nargs=-1, required=True)
@click.option("--to", default="", help="The number that is texted; else the one that serves the phone's country.")
@as_json
def text(number: str, words: tuple[str, ...], to: str, as_json: bool) -> None:
    """Let a virtual phone text us, and show what it gets back."""
    desk(as_json=as_json).text(number, " ".join(words), to)


@cli.command()
@as_json
def doctor(as_json: bool) -> None:
    """Look for what is wrong around it, and say the cure."""
    desk(as_json=as_json).doctor()


@cli.group(cls=Words)
def key() -> None:
    """Make, list and end the keys of programs."""


@key.command("new")
@click.argument("client")
@click.option("--test", "kind", flag_value="test", help="Nothing leaves; the number decides what becomes of a text.")
@click.option("--smpp", "kind", flag_value="smpp", help="A password to bind with.")
@click.option("--live", "kind", flag_value="live", default="live", help="A key whose texts leave; the usual one.")
@click.option("--may", default="", metavar="SCOPES", help="send, read, subscribers; else all that the client may.")
@click.option("--label", default="", help="What it is for, or who has it.")
@click.option("--expires-old", default="", metavar="DURATION",
              help="End the client's other keys of this kind after this time, such as 24 h, or now.")  # fmt: skip
@as_json
def key_new(client: str, kind: str, may: str, label: str, expires_old: str, as_json: bool) -> None:
    """Make a key for a CLIENT; it is shown once."""
    scopes = [scope.strip() for scope in may.split(",") if scope.strip()]
    desk(as_json=as_json).key_new(client, kind=kind, may=scopes, label=label, expires_old=expires_old)


@key.command("list")
@click.argument("client", default="")
@as_json
def key_list(client: str, as_json: bool) -> None:
    """List all keys, or those of a CLIENT."""
    desk(as_json=as_json).key_list(client)


@key.command("end")
@click.argument("id")
@click.option("--after", default="", metavar="DURATION", help="Not at once but after this time, such as 24 h.")
@as_json
def key_end(id: str, after: str, as_json: bool) -> None:
    """End a key by its ID, or by the key itself."""
    desk(as_json=as_json).key_end(id, after=after)


@cli.group("webhooks", cls=Words)
def webhooks() -> None:
    """Show what programs are told, and tell it again."""


@webhooks.command("list")
@as_json
def webhook_list(as_json: bool) -> None:
    """Show of each client what waits, was told or was given up."""
    desk(as_json=as_json).webhook_list()


@webhooks.command("show")
@click.argument("client")
@as_json
def webhook_show(client: str, as_json: bool) -> None:
    """Show what a CLIENT was told last."""
    desk(as_json=as_json).webhook_show(client)


@webhooks.command("secret")
@click.argument("client")
@as_json
def webhook_secret(client: str, as_json: bool) -> None:
    """Show what a CLIENT checks our signatures with."""
    desk(as_json=as_json).webhook_secret(client)


@webhooks.command("replay")
@click.argument("client")
@click.option("--since", required=True, metavar="TIME", help='"2026-12-01 18:00", or how long ago: "24 h".')
@click.option("--until", default="", metavar="TIME", help="The same; else now.")
@click.option("--kind", "kinds", multiple=True, help="message.delivered, say; may be said more than once.")
@as_json
def webhook_replay(client: str, since: str, until: str, kinds: tuple[str, ...], as_json: bool) -> None:
    """Tell a CLIENT again what happened in a time."""
    desk(as_json=as_json).webhook_replay(client, since, until, kinds)


@cli.command()
@click.argument("client")
@click.option("--forward", required=True, metavar="URL", help="Such as http://localhost:3000/hook.")
@as_json
def listen(client: str, forward: str, as_json: bool) -> None:
    """Bring what a CLIENT is told to a URL at home."""
    desk(as_json=as_json).listen(client, forward)


@cli.command("migrate-store")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--undo", is_flag=True, help="Take a move back: serve FROM again as it was left, and TO no more.")
@click.option("--force", is_flag=True, help="With --undo: although TO has changed since, or is gone.")
@as_json
def migrate_store(source: str, target: str, undo: bool, force: bool, as_json: bool) -> None:
    """Move everything to another store.

    A move that was broken off goes on where it was. FROM and TO are written as under store: in the config file:
    sqlite:FILE or postgresql://USER@HOST/DATABASE. Nobody may serve meanwhile.
    """
    desk(as_json=as_json).migrate_store(source, target, undo=undo, force=force)


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE", type=click.Path(path_type=Path))
@click.option("--from", "kind", default="", type=click.Choice(["", "kannel", "jasmin"]), metavar="kannel|jasmin",
              help="Whose files they are; else it is seen.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Where to write; else to standard output.")
@click.option("--with-secrets", is_flag=True, help="Write the carriers' passwords into files beside --out.")
@as_json
def convert(files: tuple[Path, ...], kind: str, out: Path | None, with_secrets: bool, as_json: bool) -> None:
    """Make a config.yaml of the files of Kannel or Jasmin.

    Of Kannel name kannel.conf; of Jasmin a script or dump of jcli, and jasmin.cfg.
    """
    desk(as_json=as_json).convert(files, kind, out, with_secrets=with_secrets)


def main(load_parts: Callable[[], Parts]) -> None:
    """Run the command that was typed. `load_parts` loads what run.py introduces to each other, when it is needed."""
    cli(obj=load_parts, prog_name="run.py")
