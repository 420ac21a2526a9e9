"""What commands carry, on its way into the database and out of it: sealed, whoever reads it there."""

from __future__ import annotations

from application.ports.command_codec import CommandCodec, EncodedCommand
from application.ports.job_store import JobStore
from application.ports.payload_cipher import PayloadCipher
from domain.commands import Command
from domain.fleet.job import FleetJob


class Payloads:
    """Seals and opens payloads. Jobs of one deployment share one, so its id is what it is bound to."""

    def __init__(self, *, codec: CommandCodec, cipher: PayloadCipher, store: JobStore) -> None:
        self._codec = codec
        self._cipher = cipher
        self._store = store

    def sealed(self, command: Command, context: str) -> tuple[str, bytes]:
        """The command's name on the wire, and its payload for `Submission`.

        `context` is the id of the deployment, or of the job that belongs to none.
        """
        encoded = self._codec.encode(command)
        return encoded.kind, self._cipher.seal(encoded.payload, context)

    async def opened(self, job: FleetJob) -> bytes:
        """The job's payload as the wire has it.

        Raises `NotFound` where it is not kept any more, `StorageUnavailable` where it is but cannot
        be read.
        """
        return self.unsealed(await self._store.payload(job.id), job.payload_context)

    def unsealed(self, sealed: bytes, context: str) -> bytes:
        """A payload, as the store has it; raises `StorageUnavailable` where it is spoilt."""
        return self._cipher.open(sealed, context)

    async def command_of(self, job: FleetJob) -> Command:
        """What a job asks for; raises as `opened` does."""
        return self._codec.decode(EncodedCommand(job.kind, await self.opened(job)))
