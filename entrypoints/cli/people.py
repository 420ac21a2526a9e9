"""users and tokens: who may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.asking import confirm, password_for
from entrypoints.cli.command import command, group
from entrypoints.cli.hosts import YesOption
from entrypoints.cli.parsing import LabelsOption, grants_in, labels_in, seconds_in
from entrypoints.cli.program import Invocation
from entrypoints.cli.texts import age, known, pairs, yes

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import AccessToken, User

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="A name or id")]
GrantsArgument = Annotated[
    list[str], typer.Argument(metavar="ROLE[:K=V,...]...", help="viewer, deployer or admin")
]


def add_people(app: typer.Typer) -> None:
    """Add the commands."""
    users = group("users", "Who may use the control plane")
    command(users, "list")(list_users)
    command(users, "add")(add)
    command(users, "show")(show)
    command(users, "grant")(grant)
    command(users, "disable")(disable)
    command(users, "enable")(enable)
    command(users, "password")(password)
    command(users, "remove")(remove)
    app.add_typer(users)
    tokens = group("tokens", "What programs present in the place of a password")
    command(tokens, "list")(list_tokens)
    command(tokens, "create")(create)
    command(tokens, "revoke")(revoke)
    app.add_typer(tokens)


async def list_users(it: Invocation, api: ApiClient) -> None:
    """List users."""
    users = await api.users.listed()
    if it.printer.is_json:
        it.printer.document({"items": users})
    elif it.printer.is_quiet:
        it.printer.names(user["name"] for user in users)
    else:
        rows = [
            (user["name"], _grants(user), yes(user["has_password"]), _state(user),
             age(user["created_at"], it.now))
            for user in users
        ]  # fmt: skip
        it.printer.table(("USER", "MAY", "PASSWORD", "STATE", "SINCE"), rows, "No users.")


async def add(
    it: Invocation,
    api: ApiClient,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    roles: GrantsArgument,
    *,
    with_password: Annotated[
        bool,
        typer.Option("--password/--no-password", help="Ask for one; without it, they use tokens"),
    ] = True,
) -> None:
    """Add a user: `users add ann deployer:env=prod viewer`."""
    body: dict[str, Any] = {"name": name, "grants": grants_in(roles)}
    if with_password:
        body["password"] = password_for(it, f"password for {name}", twice=True)
    _told(it, await api.users.add(body), f"{name} is added.")


async def show(it: Invocation, api: ApiClient, user: UserArgument) -> None:
    """Show a user."""
    found = await api.users.show(user)
    if it.printer.is_json:
        it.printer.document(found)
    elif it.printer.is_quiet:
        it.printer.names([found["name"]])
    else:
        it.printer.fields(
            [
                ("user", found["name"]),
                ("id", found["id"]),
                (
                    "may",
                    "\n".join(f"{one['role']}  {pairs(one['labels'])}" for one in found["grants"]),
                ),
                ("password", yes(found["has_password"])),
                ("state", _state(found)),
                ("since", age(found["created_at"], it.now)),
            ]
        )


async def grant(it: Invocation, api: ApiClient, user: UserArgument, roles: GrantsArgument) -> None:
    """Replace what a user may do; the word `none` takes everything away."""
    grants = [] if roles == ["none"] else grants_in(roles)
    found = await api.users.change(user, {"grants": grants})
    _told(it, found, f"{found['name']} may from now on: {_grants(found)}")


async def disable(it: Invocation, api: ApiClient, user: UserArgument) -> None:
    """Let a user in no more, and none of their tokens."""
    found = await api.users.change(user, {"is_disabled": True})
    _told(it, found, f"{found['name']} is disabled.")


async def enable(it: Invocation, api: ApiClient, user: UserArgument) -> None:
    """Let a user in again."""
    found = await api.users.change(user, {"is_disabled": False})
    _told(it, found, f"{found['name']} is enabled.")


async def password(
    it: Invocation,
    api: ApiClient,
    user: Annotated[str | None, typer.Argument(metavar="USER", help="Or one's own")] = None,
) -> None:
    """Set a user's password; one's own by giving the one of before."""
    if user is None:
        current = password_for(it, "current password")
        new = password_for(it, "new password", twice=True)
        await api.session.change_password(current, new)
        if it.printer.is_json:
            it.printer.document({"changed": True})
        else:
            it.printer.note("Your password is changed.")
        return
    new = password_for(it, f"new password for {user}", twice=True)
    found = await api.users.change(user, {"password": new})
    _told(it, found, f"{found['name']} has a new password.")


async def remove(
    it: Invocation, api: ApiClient, user: UserArgument, *, yes: YesOption = False
) -> None:
    """Remove a user, and all of their tokens."""
    confirm(it, f"Remove the user {user}, and all of their tokens?", yes=yes)
    await api.users.remove(user)
    _gone(it, user, f"{user} is removed.")


async def list_tokens(
    it: Invocation,
    api: ApiClient,
    user: Annotated[str | None, typer.Option("--user", help="Somebody else's")] = None,
) -> None:
    """List tokens; what they are is never shown again."""
    tokens = await api.tokens.listed(user)
    if it.printer.is_json:
        it.printer.document({"items": tokens})
    elif it.printer.is_quiet:
        it.printer.names(token["id"] for token in tokens)
    else:
        rows = [
            (
                token["id"], token["name"], token["user"], token["kind"], _narrowed(token),
                age(token["expires_at"], it.now), age(token["last_used_at"], it.now),
            )
            for token in tokens
        ]  # fmt: skip
        headings = ("TOKEN", "NAME", "USER", "KIND", "ONLY", "EXPIRES", "LAST USED")
        it.printer.table(headings, rows, "No tokens.")


async def create(
    it: Invocation,
    api: ApiClient,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for")],
    role: Annotated[
        str | None, typer.Option("--role", help="At most: viewer, deployer or admin")
    ] = None,
    labels: LabelsOption = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="How long it is good, such as 30d; usually 90d")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="For somebody else")] = None,
) -> None:
    """Make a token, which is printed this once."""
    body: dict[str, Any] = {"name": name}
    if role is not None:
        body["role"] = role
    if labels:
        body["labels"] = labels_in(labels)
    if (seconds := seconds_in(expires, "--expires")) is not None:
        body["expires_in_s"] = seconds
    if user is not None:
        body["user"] = user
    made = await api.tokens.create(body)
    if it.printer.is_json:
        it.printer.document(made)
        return
    it.printer.note(
        "It is shown this once; INSTADEPLOY_TOKEN takes it, or instadeploy login --token-stdin:"
    )
    it.printer.line(made["token"])


async def revoke(
    it: Invocation,
    api: ApiClient,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id")],
) -> None:
    """Make a token worth nothing, at once."""
    await api.tokens.revoke(token)
    _gone(it, token, f"{token} is revoked.")


def _grants(user: User) -> str:
    texts = []
    for one in user["grants"]:
        labels = pairs(one["labels"]).replace(" ", ",")
        texts.append(one["role"] if labels == "-" else f"{one['role']}:{labels}")
    return " ".join(texts) or "nothing"


def _state(user: User) -> str:
    return "disabled" if user["is_disabled"] else "enabled"


def _narrowed(token: AccessToken) -> str:
    labels = pairs(token["labels"])
    return known(token["role"]) if labels == "-" else f"{known(token['role'])} {labels}"


def _told(it: Invocation, user: User, text: str) -> None:
    if it.printer.is_json:
        it.printer.document(user)
    elif it.printer.is_quiet:
        it.printer.names([user["name"]])
    else:
        it.printer.line(text)


def _gone(it: Invocation, name: str, text: str) -> None:
    if it.printer.is_json:
        it.printer.document({"removed": name})
    elif it.printer.is_quiet:
        it.printer.names([name])
    else:
        it.printer.line(text)
