"""Commands to one host, each of which becomes a job: questions, and what changes a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.api_client.documents import Job
from adapters.api_client.resources import Resource, part
from adapters.api_client.sending import BRINGING_S


class ProjectsApi(Resource):
    """/api/v1/hosts/{host}/...; the answer is the job, which is over where that took at most `wait_s`."""

    async def ask(self, host: str, question: str, *, wait_s: float) -> Job:
        """`projects` or `health`, of the host."""
        return await self._job(f"/hosts/{part(host)}/{question}", {}, wait_s=wait_s)

    async def ask_project(self, host: str, project: str, question: str, *, wait_s: float) -> Job:
        """`status` or `revisions`, of a project."""
        return await self._job(_path(host, project, question), {}, wait_s=wait_s)

    async def plan(
        self, host: str, project: str, content: Mapping[str, Any], *, wait_s: float
    ) -> Job:
        """What a deployment of this content would do."""
        path = _path(host, project, "plan")
        return await self._job(path, content, wait_s=wait_s, within_s=BRINGING_S)

    async def stop(self, host: str, project: str, terms: Mapping[str, Any]) -> Job:
        """Containers and networks go, volumes stay."""
        return await self._job(_path(host, project, "stop"), terms)

    async def restart(
        self, host: str, project: str, services: Sequence[str], terms: Mapping[str, Any]
    ) -> Job:
        """These services, or all."""
        body = {"services": list(services), **terms}
        return await self._job(_path(host, project, "restart"), body)

    async def roll_back(
        self, host: str, project: str, revision: int | None, terms: Mapping[str, Any]
    ) -> Job:
        """To a revision, or to the last good one before the wanted one."""
        body = {"revision": revision, **terms}
        return await self._job(_path(host, project, "rollback"), body)

    async def remove(
        self, host: str, project: str, terms: Mapping[str, Any], *, volumes: bool
    ) -> Job:
        """Take it off the host, with its files and its history."""
        body = {"volumes": volumes, **terms}
        return await self._job(_path(host, project, "remove"), body)

    async def history(self, host: str, project: str, *, limit: int) -> list[Job]:
        """What was to change it, the newest first."""
        found: list[Job] = await self._list(_path(host, project, "history"), limit=limit)
        return found

    async def _job(self, path: str, body: Mapping[str, Any], **how: Any) -> Job:
        job: Job = await self._submit(path, body, **how)
        return job


def _path(host: str, project: str, verb: str) -> str:
    return f"/hosts/{part(host)}/projects/{part(project)}/{verb}"
