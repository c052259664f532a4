"""Commands of the centre: taken under this connection's nonce, once, in time, and answered (docs/contract).
What they mean is the program's. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sync.link.envelope import signed_payload
from sync.link.keys import Signer
from sync.link.messages import Context, Topics
from sync.link.outbox import MAX_WHY, Outbox, Unfit
from sync.link.words import CommandAnswered, CommandCame, Connection, Publish
from sync.vocabulary.commands import Command, CommandResult, Outcome

MAX_COMMANDS = 256
"""Commands of one nonce that are remembered. With one more the device takes a new nonce: whatever came before
is void then, and none of it has to be remembered to be known again."""
CLOCKS_APART_S = 10.0
"""The centre's clock may run ahead of ours by so much."""


class Commands:
    def __init__(
        self,
        out: Outbox,
        signer: Signer,
        *,
        device: str,
        topics: Topics,
        utc_at: Callable[[float], str],
        new_nonce: Callable[[], str],
    ) -> None:
        self._out = out
        self._signer = signer
        self._device = device
        self._result_topic = topics.result(device)
        self._utc_at = utc_at
        self._new_nonce = new_nonce
        self._nonce = ""
        self._commands: dict[str, bytes] = {}
        """Taken under this nonce: the last result's payload, empty before there is one."""

    @property
    def nonce(self) -> str:
        """Empty while none holds."""
        return self._nonce

    def begin(self) -> None:
        """A new nonce, which has to be told; whatever was commanded under the one before is void."""
        self._nonce, self._commands = self._new_nonce(), {}

    def end(self) -> None:
        """Whatever was commanded over this connection is void with it."""
        self._nonce, self._commands = "", {}

    def came(self, at_s: float, command: Command) -> bool:
        """Whether with it a new nonce began, which has to be told."""
        if command.device != self._device:
            raise Unfit(f"expected a command for {self._device}, got {command.device[:40]!r}")
        if not self._nonce or command.nonce != self._nonce:
            self._out.count("commands_void")
            raise Unfit(f"command {command.command_id} is of another connection: void")
        known = self._commands.get(command.command_id)
        if known is not None:
            self._out.count("commands_again")
            if known:
                self._send_result(known)
            return False
        self._commands[command.command_id] = b""
        late = self._too_late(at_s, command)
        if late:
            self._out.count("commands_late")
            self.answered(CommandAnswered(command.command_id, Outcome.REFUSED, late))
        else:
            self._out.notify(CommandCame(command))
        if len(self._commands) < MAX_COMMANDS:
            return False
        self.begin()
        return True

    def _too_late(self, at_s: float, command: Command) -> str:
        """Why its time limit is over; empty while it is not."""
        ours = self._utc_at(at_s)
        age_s = (datetime.fromisoformat(ours) - datetime.fromisoformat(command.issued)).total_seconds()
        if -CLOCKS_APART_S <= age_s <= command.valid_s:
            return ""
        return f"issued at {command.issued} for {command.valid_s} s, it is {ours} here"

    def answered(self, answered: CommandAnswered) -> None:
        """Also for a command of an earlier connection: it was done then, and whoever asked may know."""
        result = CommandResult(
            command_id=answered.command_id,
            device=self._device,
            outcome=answered.outcome,
            why=answered.why[:MAX_WHY],
        )
        payload = signed_payload(self._signer, Context.RESULT, result)
        if answered.command_id in self._commands:
            self._commands[answered.command_id] = payload
        self._send_result(payload)

    def _send_result(self, payload: bytes) -> None:
        """Not sent again by us: the centre asks again until it has heard (idempotent by command id)."""
        if Connection.ALARM in self._out.connected:
            self._out.add(Publish(Connection.ALARM, self._result_topic, payload))
