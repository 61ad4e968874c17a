"""What every handler may reach for: the store, the business of this moment, the gateway, the simulated phones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.business import Business
from campaigns.runner import Runner
from campaigns.settings import Config
from campaigns.wishes import Result, Submission
from gateway.channels.simulator import Simulator
from gateway.clock import Clock
from gateway.engine import Gateway
from gateway.fleet import Fleet
from gateway.ids import Ids
from gateway.intake import Intake
from gateway.quality import Quality
from gateway.rendering import Pages, Texts
from gateway.shared import Shared
from gateway.store import Store
from handlers.api.desk import Keys


@dataclass(slots=True)
class App:
    """One process. `business` is replaced when a config is applied; the rest lives as long as the process.

    Without `serve` (a command that opens the store itself) there is no gateway, no runner, no simulator.
    """

    config_path: Path
    folder: Path  # what lies beside the store: media, the key for commands
    store: Store
    clock: Clock
    ids: Ids
    texts: Texts
    pages: Pages
    brand: int = 1
    _business: Business | None = None
    fleet: Fleet | None = None  # the processes among which this one serves; None where it is alone
    gateway: Gateway | None = None
    runner: Runner | None = None
    intake: Intake[Submission, Result] | None = None
    simulator: Simulator | None = None
    quality: Quality = field(default_factory=Quality)
    shared: Shared = field(default_factory=Shared)
    # For programs, where this process has such doors: the block applies the file, and opens nothing should it fail.
    opening: Callable[[Config], AbstractAsyncContextManager[None]] | None = None
    on_taken: list[Callable[[Business], None]] = field(default_factory=list)
    keys: Keys = field(init=False)  # of the programs that talk to us

    def __post_init__(self) -> None:
        self.keys = Keys(self)

    @property
    def business(self) -> Business:
        """The applied config. Before the first apply there is none: LookupError."""
        if self._business is None:
            raise LookupError("nothing has been applied yet: run.py apply")
        return self._business

    @property
    def media(self) -> Path:
        """Where files that people sent with their texts are kept."""
        return self.folder / "media"

    @property
    def has_business(self) -> bool:
        """Whether a config has been applied."""
        return self._business is not None

    def take(self, business: Business) -> None:
        """Follow a newly applied config."""
        self._business = business
        for tell in self.on_taken:
            tell(business)
