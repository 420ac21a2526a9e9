"""Has registries judge the credentials that come with a deployment, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.agent.handling import Deadlines, Failed, StepTimedOut, run_step
from application.agent.project_judge import UNTOUCHED
from application.agent.stages import Stage, Stages
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.registry_logins import RegistryLogins
from domain.commands import RegistryLogin
from domain.output import BoundedOutput, cause_of_failure

LOGIN: Final = "login"
_REFUSED: Final = re.compile(r"40[13]|unauthori|denied|incorrect|forbidden", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCheck:
    """Gives a job's credentials to Docker, in a configuration of the job's own."""

    logins: RegistryLogins
    runtime: ComposeRuntime
    clock: Clock
    deadlines: Deadlines

    async def docker_config(self, job_id: str, logins: Sequence[RegistryLogin]) -> str:
        """The directory of the configuration; empty for a deployment that brings no credentials."""
        return await self.logins.provide(job_id, tuple(logins)) if logins else ""

    async def log_in(
        self, logins: Sequence[RegistryLogin], docker_config: str, stages: Stages
    ) -> Failed | None:
        """Ask each registry; None where all accept what they are given."""
        if not logins:
            return None
        with stages.speaking(LOGIN) as stage:
            for login in logins:
                failure = await self._try(login, docker_config, stage)
                if failure is not None:
                    stage.fail()
                    return failure
                stage.say(f"{login.registry}: logged in as {login.username}")
        return None

    async def _try(self, login: RegistryLogin, docker_config: str, stage: Stage) -> Failed | None:
        output = BoundedOutput()
        try:
            exit_code = await run_step(
                self.clock,
                "docker login",
                self.deadlines.check_s,
                self.runtime.log_in(login.registry, docker_config, output),
            )
        except StepTimedOut as exc:
            return Failed(f"{exc}; {UNTOUCHED}", data={"reason": "deadline"})
        if exit_code == 0:
            return None
        text = output.text().replace(login.password, "***")
        cause = _cause(text)
        stage.say(f"{login.registry}: {cause}")
        return Failed(
            f"{login.registry} does not accept these credentials; {UNTOUCHED}"
            if _REFUSED.search(cause)
            else f"logging in to {login.registry} failed; {UNTOUCHED}",
            cause=cause,
            logs=text,
            data={"reason": "registry_login_failed", "registry": login.registry},
        )


def _cause(output: str) -> str:
    """What the registry said. Docker asks a person then, and complains that there is none."""
    lines = [line for line in output.splitlines() if "interactive login" not in line]
    return cause_of_failure("\n".join(lines))
