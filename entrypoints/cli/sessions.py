"""login, logout, whoami, context: which control plane, and who one is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from domain.errors import InvalidInput
from entrypoints.cli.asking import line_for, password_for, secret_line
from entrypoints.cli.command import command, group
from entrypoints.cli.exits import ExitCode, NotLoggedIn, WrongUsage
from entrypoints.cli.program import TOKEN_STORE, Invocation, would_show
from entrypoints.cli.texts import age, known, pairs

if TYPE_CHECKING:
    from adapters.api_client.client import ApiClient
    from adapters.api_client.documents import Login

USUAL_NAME: Final = "default"

NameOption = Annotated[str | None, typer.Option("--name", help="What to call it here")]
PlainOption = Annotated[
    bool,
    typer.Option("--plain-http", help="Send secrets unencrypted to a host that is not this one"),
]


def add_sessions(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "login")(login)
    command(app, "logout")(logout)
    command(app, "whoami")(whoami)
    contexts = group("context", "Control planes that are known here")
    command(contexts, "list")(list_contexts)
    command(contexts, "use")(use_context)
    command(contexts, "remove")(remove_context)
    app.add_typer(contexts)


def login(
    it: Invocation,
    url: Annotated[
        str | None, typer.Argument(help="Of the control plane; usually the known one's")
    ] = None,
    name: NameOption = None,
    user: Annotated[str | None, typer.Option("--user", help="Log in as, with a password")] = None,
    *,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read a token, and not a password")
    ] = False,
    plain_http: PlainOption = False,
) -> None:
    """Log in, with a password or a token; it is kept for the commands that follow."""
    if token_stdin and user:
        raise WrongUsage("--token-stdin and --user exclude each other: a token says whose it is")
    url, name = chosen(it, url, name)
    check_secrecy(url, allowed=plain_http)
    if token_stdin:
        token = secret_line(it, "token")
        who = asyncio.run(_who_has(it, url, token))
    else:
        user = user or line_for(it, "user")
        password = password_for(it)
        made = asyncio.run(_log_in(it, url, user, password))
        token, who = made["token"], made["user"]["name"]
    keep(it, name, url, who, token)


def logout(it: Invocation) -> None:
    """Revoke the token of the current context, and forget it here."""
    from adapters.api_client.errors import ApiFailure  # noqa: PLC0415 - see program.py

    target = it.target(needs_token=False)
    if not target.context:
        raise NotLoggedIn("the token is in the environment, and not kept here")
    trouble: ApiFailure | None = None
    if target.token is not None:

        async def ask() -> None:
            async with it.program.connect(target.url, target.token, ca_file=target.ca_file) as api:
                await api.session.log_out()

        try:
            asyncio.run(ask())
        except ApiFailure as exc:
            trouble = exc
    _forget(it, target.context, is_kept=True)
    if trouble is not None and getattr(trouble, "status", 0) != 401:  # noqa: PLR2004 - not good already
        it.printer.complain("the token is forgotten here, and could not be revoked there:")
        raise trouble
    _say(it, {"context": target.context, "url": target.url}, f"Logged out of {target.url}.")


async def whoami(it: Invocation, api: ApiClient) -> None:
    """Show who the token is of, and what it allows."""
    me = await api.session.me()
    if it.printer.is_json:
        it.printer.document(me)
    elif it.printer.is_quiet:
        it.printer.names([me["user"]["name"]])
    else:
        token = me["access_token"]
        grants = [f"{one['role']}  {pairs(one['labels'])}" for one in me["user"]["grants"]]
        fields = [("user", me["user"]["name"]), ("at", it.url), ("may", "\n".join(grants) or "-")]
        if token is not None:
            narrowed = f"{token['role'] or 'the same'}  {pairs(token['labels'])}"
            if not (token["role"] or token["labels"]):
                narrowed = "all that the user may do"
            fields += [
                ("token", f"{token['name']} ({token['kind']})"),
                ("allows", narrowed),
                ("expires", age(token["expires_at"], it.now)),
            ]
        it.printer.fields(fields)


def list_contexts(it: Invocation) -> None:
    """List the control planes that are known; no token is shown."""
    contexts = it.contexts().read()
    items = [
        _document(contexts.by_name[name], contexts.current) for name in sorted(contexts.by_name)
    ]
    if it.printer.is_json:
        it.printer.document({"items": items})
    elif it.printer.is_quiet:
        it.printer.names(str(one["name"]) for one in items)
    else:
        rows = [
            (
                "*" if one["is_current"] else "",
                one["name"],
                one["url"],
                known(one["user"]),
                one["tokens_in"],
            )
            for one in items
        ]
        it.printer.table(
            ("", "NAME", "URL", "USER", "TOKEN IN"), rows, "None: instadeploy login https://..."
        )


def use_context(it: Invocation, name: Annotated[str, typer.Argument()]) -> None:
    """Make a context the one that is used where none is named."""
    with it.contexts().changing() as contexts:
        _known(contexts.by_name, name)
        contexts.current = name
    _say(it, {"current": name}, f"{name} is used from now on.")


def remove_context(it: Invocation, name: Annotated[str, typer.Argument()]) -> None:
    """Forget a context and its token; the token is not revoked."""
    _known(it.contexts().read().by_name, name)
    _forget(it, name, is_kept=False)
    _say(
        it,
        {"removed": name},
        f"{name} is forgotten. `instadeploy logout` would also have revoked it.",
    )


async def _who_has(it: Invocation, url: str, token: str) -> str:
    from adapters.api_client.errors import Refused  # noqa: PLC0415 - see program.py

    async with it.program.connect(url, token, ca_file=it.ca_file()) as api:
        try:
            return (await api.session.me())["user"]["name"]
        except Refused as exc:
            if exc.problem == "unauthenticated":
                raise NotLoggedIn(f"{url} does not accept this token; nothing was kept") from None
            raise


async def _log_in(it: Invocation, url: str, user: str, password: str) -> Login:
    async with it.program.connect(url, None, ca_file=it.ca_file()) as api:
        return await api.session.log_in(user, password)


def chosen(it: Invocation, url: str | None, name: str | None) -> tuple[str, str]:
    """The URL and the name of the context that is meant."""
    from adapters.api_client.client import checked_url  # noqa: PLC0415 - see program.py

    contexts = it.contexts().read()
    if url is None:
        chosen = name or it.wishes.context
        if chosen and chosen in contexts.by_name:
            url = contexts.by_name[chosen].url
        else:
            url = it.target(needs_token=False).url
    url = checked_url(url)
    it.url = url
    same = [one.name for one in contexts.by_name.values() if one.url == url]
    name = name or it.wishes.context or (same[0] if same else USUAL_NAME)
    if not name.isprintable() or not name.strip():
        raise InvalidInput("--name", "must be printable, and not empty")
    if contexts.by_name.get(name) and contexts.by_name[name].url != url and name == USUAL_NAME:
        host = urlsplit(url).hostname or name
        name = host if host not in contexts.by_name else f"{host}-{len(contexts.by_name)}"
    return url, name


def check_secrecy(url: str, *, allowed: bool) -> None:
    """Raises `WrongUsage` where a secret would cross a network for everybody to read."""
    if would_show(url) and not allowed:
        raise WrongUsage(
            f"{url} would get the password or token unencrypted: use https://, or say --plain-http"
        )


def keep(it: Invocation, name: str, url: str, user: str, token: str) -> None:
    """Keep a token as a context's, which is the current one from then on."""
    from adapters.contexts.context_file import Context  # noqa: PLC0415 - see program.py
    from adapters.contexts.token_stores import put_new, store_of  # noqa: PLC0415

    file = it.contexts()
    ca_file = it.ca_file()
    context = Context(name, url, user, str(ca_file.absolute()) if ca_file else "")
    with file.changing() as contexts:
        before = contexts.by_name.get(name)
        if before is not None and before.url != url:
            store_of(before, file.path.parent).remove(before)
        kept_in = put_new(it.variable(TOKEN_STORE) or "auto", file.path.parent, context, token)
        contexts.by_name[name] = Context(name, url, user, context.ca_file, kept_in)
        contexts.current = name
        document = _document(contexts.by_name[name], name)
    where = "the keyring" if kept_in == "keyring" else "a file that only you can read"
    _say(it, document, f"{user} at {url}, as context {name}; the token is kept in {where}.", name)


def _forget(it: Invocation, name: str, *, is_kept: bool) -> None:
    """Forget the token; and the context, unless it is to be kept."""
    from adapters.contexts.token_stores import store_of  # noqa: PLC0415 - see program.py

    file = it.contexts()
    with file.changing() as contexts:
        context = contexts.by_name[name]
        store_of(context, file.path.parent).remove(context)
        if not is_kept:
            del contexts.by_name[name]
            if contexts.current == name:
                contexts.current = next(iter(sorted(contexts.by_name)), "")


def _known(by_name: dict[str, Any], name: str) -> None:
    if name not in by_name:
        known_ones = ", ".join(sorted(by_name)) or "none"
        raise WrongUsage(f"there is no context {name!r}; there is: {known_ones}")


def _document(context: Any, current: str) -> dict[str, Any]:
    return {
        "name": context.name,
        "url": context.url,
        "user": context.user or None,
        "ca_file": context.ca_file or None,
        "tokens_in": context.token_store,
        "is_current": context.name == current,
    }


def _say(it: Invocation, document: dict[str, Any], text: str, name: str = "") -> ExitCode:
    if it.printer.is_json:
        it.printer.document(document)
    elif not it.printer.is_quiet:
        it.printer.line(text)
    elif name:
        it.printer.names([name])
    return ExitCode.OK
