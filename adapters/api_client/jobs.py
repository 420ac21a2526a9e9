"""Jobs and deployments: what was asked of hosts, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from adapters.api_client.documents import DeployedContent, Deployment, Job
from adapters.api_client.feed import PATIENCE_S, FeedEvent, Trouble, follow
from adapters.api_client.resources import Resource, part
from adapters.api_client.sending import BRINGING_S, Parameters


class JobsApi(Resource):
    """/api/v1/jobs."""

    async def listed(self, query: Parameters = (), *, limit: int | None = None) -> list[Job]:
        """The newest first; `query` as the API has it: host, project, deployment, state, kind."""
        found: list[Job] = await self._list("/jobs", query, limit=limit)
        return found

    async def show(self, job_id: str) -> Job:
        """One job, with its result where there is one."""
        found: Job = await self._get(f"/jobs/{part(job_id)}")
        return found

    async def cancel(self, job_id: str) -> Job:
        """Ask for its end; one that is over stays as it is."""
        found: Job = await self._change("POST", f"/jobs/{part(job_id)}/cancel", may_repeat=True)
        return found

    def follow(
        self, job_id: str, *, troubled: Trouble = lambda _: None, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[FeedEvent, None]:
        """What happens to it, from its beginning on; see `feed.follow`."""
        path = f"/jobs/{part(job_id)}/feed"
        return follow(self._sending, path, troubled=troubled, patience_s=patience_s)


class DeploymentsApi(Resource):
    """/api/v1/deployments."""

    async def create(self, body: Mapping[str, Any], *, key: str | None = None) -> Deployment:
        """Deploy; the answer has all of its jobs. Carried out once for a key, however often it is sent."""
        made: Deployment = await self._submit("/deployments", body, key=key, within_s=BRINGING_S)
        return made

    async def show(self, deployment_id: str) -> Deployment:
        """One deployment, with the first of its jobs."""
        found: Deployment = await self._get(f"/deployments/{part(deployment_id)}")
        return found

    async def content(self, deployment_id: str) -> DeployedContent:
        """What it brings: the compose file, and fingerprints of the rest."""
        found: DeployedContent = await self._get(f"/deployments/{part(deployment_id)}/content")
        return found

    async def cancel(self, deployment_id: str) -> Deployment:
        """Cancel it wherever it is not over."""
        path = f"/deployments/{part(deployment_id)}/cancel"
        found: Deployment = await self._change("POST", path, may_repeat=True)
        return found

    def follow(
        self,
        deployment_id: str,
        *,
        troubled: Trouble = lambda _: None,
        patience_s: float = PATIENCE_S,
    ) -> AsyncGenerator[FeedEvent, None]:
        """What happens to all of its jobs, from the beginning on; see `feed.follow`."""
        path = f"/deployments/{part(deployment_id)}/feed"
        return follow(self._sending, path, troubled=troubled, patience_s=patience_s)
