"""What looking costs: at a deployment before and after it is applied, and at what runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.control_plane import AgentLink, Answer, BenchmarkFailed, control_plane
from benchmarks.figures import Figure, Unit, at_most
from benchmarks.sample import Sample
from benchmarks.stage import Stage

SERVICES: Final = 5
PROJECTS: Final = 20
EXTRA: Final = ("validate", "policy", "verify")
"""The stages of a deployment that Compose alone would not have."""

HEAD: Final = "services:\n"
SERVICE: Final = """\
  service-{number}:
    image: {image}
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    network_mode: none
    environment: {{ROUND: "{round}"}}
"""
AFTER: Final = "    depends_on: [service-1]\n"


async def measure_stages(stage: Stage) -> Sequence[Figure]:
    """The stages of deployments that change all of five services, as the results tell them."""
    project = stage.project("stages")
    try:
        async with control_plane() as plane, stage.connected_agent(plane) as agent:
            answers = [
                await agent.link.deploy(project, _compose(stage.image, number))
                for number in range(stage.effort.rounds + 1)
            ]
            await agent.link.stop(project)
    finally:
        stage.take_down(project)
    return stage_figures(answers[1:])  # The first finds nothing there.


def stage_figures(answers: Sequence[Answer]) -> list[Figure]:
    """What a few deployments tell of their stages."""
    seconds = [seconds_by_stage(answer) for answer in answers]
    names = dict.fromkeys(name for each in seconds for name in each)
    extra = _milliseconds(sum(each.get(name, 0.0) for name in EXTRA) for each in seconds)
    note = f"{SERVICES} services, all replaced; as `data.steps` has it"
    figures = [
        Figure(f"{' + '.join(EXTRA)}", extra, Unit.MILLISECONDS, at_most(400), note),
        *(
            Figure(
                f"stage {name}", _milliseconds(e.get(name, 0.0) for e in seconds), Unit.MILLISECONDS
            )
            for name in names
        ),
    ]
    rest = _milliseconds(
        answer.ended_s - sum(each.values()) for answer, each in zip(answers, seconds, strict=True)
    )
    return [*figures, Figure("in no stage", rest, Unit.MILLISECONDS, note="from sent to answered")]


def seconds_by_stage(answer: Answer) -> dict[str, float]:
    """How long each stage took; raises `BenchmarkFailed` where the result does not say."""
    steps = answer.final.get("data", {}).get("steps")
    if not steps:
        raise BenchmarkFailed(f"no stages in {answer.final}")
    seconds: dict[str, float] = {}
    for step in steps:
        seconds[step["step"]] = seconds.get(step["step"], 0.0) + step["seconds"]
    return seconds


async def measure_reads(stage: Stage) -> Sequence[Figure]:
    """STATUS of one project, and the question for all, on a host with twenty."""
    projects = [stage.project(f"read-{number}") for number in range(PROJECTS)]
    count = stage.effort.reads
    try:
        async with control_plane() as plane, stage.connected_agent(plane) as agent:
            link = agent.link
            for project in projects:
                await link.deploy(project, _compose(stage.image, 0))
            one = [await _read_s(link, "STATUS", projects[0]) for _ in range(count)]
            listed = [await _read_s(link, "LIST_PROJECTS") for _ in range(count)]
            each = [
                sum([await _read_s(link, "STATUS", project) for project in projects])
                for _ in range(max(1, count // PROJECTS))
            ]
    finally:
        for project in projects:
            stage.take_down(project)
    what = f"{PROJECTS} projects with {SERVICES} services each"
    return [
        Figure(
            "STATUS of one project",
            _milliseconds(one),
            Unit.MILLISECONDS,
            at_most(15),
            f"{SERVICES} services, on a host with {what}",
        ),
        Figure("LIST_PROJECTS", _milliseconds(listed), Unit.MILLISECONDS, at_most(150), what),
        Figure(
            "STATUS of all, one after another",
            _milliseconds(each),
            Unit.MILLISECONDS,
            at_most(150),
            what,
        ),
    ]


async def _read_s(link: AgentLink, command_type: str, project: str = "") -> float:
    payload = {"project_name": project} if project else {}
    answer = await link.ask(command_type, payload)
    return answer.ended_s


def _milliseconds(seconds: Iterable[float]) -> Sample:
    return Sample(tuple(1000 * value for value in seconds))


def _compose(image: str, number: int) -> str:
    """Five services, all of which are made anew where the number is another one."""
    services = [
        SERVICE.format(number=one, image=image, round=number) + (AFTER if one > 1 else "")
        for one in range(1, SERVICES + 1)
    ]
    return HEAD + "".join(services)
