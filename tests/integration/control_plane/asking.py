"""Requests that tests of the program make."""

from __future__ import annotations

import httpx

COMPOSE = "services:\n  web:\n    image: nginx\n"
SECRET = "s3cr3t-value"


async def add_host(client: httpx.AsyncClient, name: str = "old-1") -> str:
    made = await client.post("/hosts", json={"name": name})
    assert made.status_code == 201, made.text
    token: str = made.json()["token"]
    return token


async def deploy(client: httpx.AsyncClient, *hosts: str) -> str:
    body = {
        "project": "blog",
        "compose": COMPOSE,
        "env": {"PASSWORD": SECRET},
        "registry_auth": {"r.example": {"username": "robot", "password": SECRET}},
        "hosts": list(hosts),
    }
    made = await client.post("/deployments", json=body)
    assert made.status_code == 202, made.text
    job_id: str = made.json()["jobs"][0]["id"]
    return job_id
