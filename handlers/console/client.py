"""How a command reaches the business: through the process that serves it, or, when none does, by opening the store."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from gateway.errors import CarillonError
from gateway.reading import read_yaml
from gateway.tree import Mistake, Scalar

if TYPE_CHECKING:
    from campaigns.settings import Config
    from handlers.app import App

STORE = "sqlite:data/carillon.db"  # where the file says nothing
START_S = 10.0  # how long a process that is coming up is waited for
ANSWER_S = 600.0
ANSWERING_PAUSE_S = 0.1

Answer = dict[str, Any]
Tell = Callable[[Mapping[str, Any]], None]


def nothing(_progress: Mapping[str, Any]) -> None:
    """Tells nobody."""


class Business(Protocol):
    """The two ways to the business: `Served` and `Opened`."""

    def ask(self, operation: str, tell: Tell = nothing, /, **arguments: Any) -> Answer:
        """Do an operation and return its result. Raises CarillonError."""
        ...

    def hello(self) -> Answer:
        """Simulator or live, which carriers, what time."""
        ...


class Parts(Protocol):
    """What run.py introduces to each other."""

    def opened(
        self, config: Config, config_path: Path, environ: Mapping[str, str], roles: Collection[str] = ()
    ) -> AbstractAsyncContextManager[App]:
        """The store with the clock, the ids and the applied business; to serve, the roles."""
        ...

    def serving(self, app: App, environ: Mapping[str, str]) -> AbstractAsyncContextManager[App]:
        """Everything that runs."""
        ...

    async def until_asked_to_stop(self) -> None:
        """Return at Ctrl-C or SIGTERM."""
        ...


class Served:
    """The process that serves, over its private listener."""

    def __init__(self, token: str, address: str) -> None:
        self._token = token
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=ANSWER_S)

    def ask(self, operation: str, tell: Tell = nothing, /, **arguments: Any) -> Answer:
        """Post the operation and read its lines."""
        try:
            return self._ask(operation, tell, arguments)
        except (OSError, http.client.HTTPException) as error:
            raise CarillonError(f"the serving process does not answer: {error}") from error

    def _ask(self, operation: str, tell: Tell, arguments: Mapping[str, Any]) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._connection.request("POST", f"/control/{operation}", json.dumps(arguments), headers)
        response = self._connection.getresponse()
        if response.status != http.client.OK:
            response.read()
            raise CarillonError(f"the serving process refused this ({response.status}): is it of another version?")
        for line in response:
            said: Answer = json.loads(line)
            if "progress" in said:
                tell(said["progress"])
            elif "error" in said:
                response.read()
                raise CarillonError(said["error"])
            elif "result" in said:
                response.read()
                result: Answer = said["result"]
                return result
        raise CarillonError("the serving process went away before it had answered")

    def hello(self) -> Answer:
        """As the serving process says it."""
        return self.ask("hello")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Opened:
    """The store itself, opened by this process for as long as the command runs."""

    def __init__(self, runner: asyncio.Runner, app: Any, hello: Callable[[], Answer]) -> None:
        from handlers.console.operations import OPERATIONS  # noqa: PLC0415  costs a third of a second

        self._runner, self._app, self._hello, self._operations = runner, app, hello, OPERATIONS

    def ask(self, operation: str, tell: Tell = nothing, /, **arguments: Any) -> Answer:
        """Run the operation here."""

        async def hear(progress: Mapping[str, Any]) -> None:
            tell(progress)

        async def work() -> Answer:
            return await self._operations[operation](self._app, hear, **arguments)

        return self._runner.run(work())

    def hello(self) -> Answer:
        """As the file says it."""
        return self._hello()


def store_of(config_path: Path, environ: Mapping[str, str]) -> Path | str:
    """The store that a file names: a file, or the address of a PostgreSQL.

    It is read with as little as possible: `stop` must work while config.yaml is being edited.
    """
    try:
        text = config_path.read_bytes().decode("utf-8", "replace")  # what else is wrong with it is told with its place
    except OSError as error:
        raise CarillonError(f"{config_path}: cannot read this file: {error.strerror}") from None
    mistakes: list[Mistake] = []
    entry = read_yaml(text, str(config_path), environ, mistakes).entries.get("store")
    named = entry.node.text if entry and isinstance(entry.node, Scalar) and entry.node.text else STORE
    return config_path.parent / named.removeprefix("sqlite:") if named.startswith("sqlite:") else named


def folder_of(config_path: Path, environ: Mapping[str, str]) -> Path:
    """Where files lie that belong to the store and are not in it."""
    store = store_of(config_path, environ)
    return store.parent if isinstance(store, Path) else config_path.parent / "data"


@contextmanager
def reach(load_parts: Callable[[], Parts], config_path: Path) -> Iterator[Business]:
    """The business of a config file. Raises ConfigErrors when nobody serves and the file has mistakes.

    Of several that serve on a PostgreSQL any of this machine will do, best the one with the handset. Where there is
    none, the database is opened, and those who serve elsewhere follow what is written there.
    """
    served = _served(config_path)
    if served is None:
        with _opened(load_parts(), config_path) as opened:
            yield opened
        return
    with closing(served):
        yield served


def _served(config_path: Path) -> Served | None:
    """The process that serves, or, on a PostgreSQL, the best of them."""
    store = store_of(config_path, os.environ)
    if not isinstance(store, Path):
        return _one_of(folder_of(config_path, os.environ))
    from gateway.store.sqlite import is_locked  # noqa: PLC0415  sqlite only when there is something to look at

    return Served(*_pass(store)) if store.exists() and is_locked(store) else None


def _one_of(folder: Path) -> Served | None:
    """A process of this machine that answers, of several that serve."""
    answering = []
    for path in sorted(folder.glob("control-*.token")):
        try:
            token, address = path.read_text("ascii").split()
        except (OSError, ValueError):  # it is going, or coming
            continue
        served = Served(token, address)
        try:
            answering.append((bool(served.hello().get("has_handset")), served))
        except CarillonError:  # it has gone, without taking its key along
            served.close()
    answering.sort(key=lambda each: not each[0])
    for _, other in answering[1:]:
        other.close()
    return answering[0][1] if answering else None


def _pass(store: Path) -> tuple[str, str]:
    """The key of the process that holds the store; one that is coming up is waited for."""
    path = store.parent / "control.token"
    end = time.monotonic() + START_S
    while True:
        try:
            token, address = path.read_text("ascii").split()
        except (FileNotFoundError, ValueError):
            if time.monotonic() > end:
                raise CarillonError(f"{store}: another command works here; try again when it is done") from None
            time.sleep(ANSWERING_PAUSE_S)
        else:
            return token, address


@contextmanager
def _opened(parts: Parts, config_path: Path) -> Iterator[Opened]:
    from campaigns.settings import Config  # noqa: PLC0415  costs a third of a second
    from gateway.config import load  # noqa: PLC0415  the same
    from handlers.console.facts import header  # noqa: PLC0415  the same

    config = load(config_path, Config, os.environ).value
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        app = runner.run(stack.enter_async_context(parts.opened(config, config_path, os.environ)))
        try:
            others = runner.run(app.store.read(lambda tx: tx.rows("member_list")))
            yield Opened(runner, app, lambda: header(config, app.clock, bool(others)))
        finally:
            runner.run(stack.aclose())
