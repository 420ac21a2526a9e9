"""Becoming somebody: setting the control plane up, logging in, and out again."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from application.control_plane.access import Access, new_token
from application.control_plane.times import seconds_now
from application.ports.audit_trail import AuditTrail
from application.ports.clock import Clock
from application.ports.password_hasher import PasswordHasher
from application.ports.people import People, UserChange
from application.ports.randomness import Randomness
from domain.errors import (
    Conflict,
    InstaDeployError,
    NotFound,
    StorageUnavailable,
    TooManyAttempts,
    Unproven,
)
from domain.fleet.access import SETUP_PREFIX, Grant, Principal, Role
from domain.fleet.attempts import Attempts, network_of, site_of
from domain.fleet.audit import Noted, noted_by
from domain.fleet.people import (
    SESSION_S,
    AccessToken,
    TokenId,
    TokenKind,
    User,
    UserId,
    UserName,
    check_password,
)
from domain.identity import token_hash_of

logger = logging.getLogger(__name__)

MOST_SESSIONS: Final = 50
FROM_AN_ADDRESS: Final = (20, 0.1)
"""What may be got wrong at once, and a second in the long run; whatever the names."""
FOR_A_NAME: Final = (30, 0.05)
"""From all addresses from which nobody has logged in under that name: a stranger who tries one name from
many places keeps others out of it who come from a new place too, and nobody who comes from where they
were before."""
FROM_A_SITE: Final = (200, 1.0)
"""From all addresses that one customer of a provider may have."""
NOTED: Final = (60, 0.2)
"""How many of what is wrong are in the audit trail at once, and a second in the long run."""
KEPT: Final = 10_000
LONGEST_NAME: Final = 63
SET_UP: Final = "set-up: it is over for good; whoever may do everything adds users"
WRONG: Final = "the name or the password is not right"


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who is known now; nobody can show the token again."""

    user: User
    access_token: AccessToken
    token: str = field(repr=False)


class Logins:
    """Passwords and the set-up code are looked at here and nowhere else."""

    def __init__(
        self,
        *,
        people: People,
        access: Access,
        audit: AuditTrail,
        passwords: PasswordHasher,
        randomness: Randomness,
        clock: Clock,
    ) -> None:
        self._people = people
        self._access = access
        self._audit = audit
        self._passwords = passwords
        self._randomness = randomness
        self._clock = clock
        self._code_hash = ""
        self._from_addresses = Attempts(*FROM_AN_ADDRESS, KEPT)
        self._for_names = Attempts(*FOR_A_NAME, KEPT)
        self._from_sites = Attempts(*FROM_A_SITE, KEPT)
        self._noted = Attempts(*NOTED, 1)
        self._known: dict[tuple[str, str], None] = {}

    def new_code(self) -> str:
        """A code to set the control plane up with; the one before is worth nothing any more.

        It is for this life of the program, and is on no disk.
        """
        code = SETUP_PREFIX + self._randomness.token()
        self._code_hash = token_hash_of(code)
        return code

    async def set_up(self, code: str, name: UserName, password: str, address: str) -> Login:
        """Make the first user, who may do everything. Never again after that.

        Raises `Conflict` where there was ever a user, `Unproven` for another code, `InvalidInput`,
        and `TooManyAttempts`.
        """
        if await self._people.is_set_up():
            raise Conflict(SET_UP)
        attempt = self._attempt(address)
        if not self._code_hash or not hmac.compare_digest(token_hash_of(code), self._code_hash):
            await self._note_refused("setup", "", address)
            raise Unproven("code: it is not the one that was printed when the program was started")
        attempt.give_back()
        check_password(password)
        password_hash = await self._passwords.hash(password)
        now = seconds_now(self._clock)
        user = User(
            UserId(self._randomness.new_id("user")),
            name,
            (Grant(Role.ADMIN),),
            now,
            has_password=True,
        )
        login = self._login(user, now)
        noted = Noted(at=now, user=name.value, action="setup", address=address, target=name.value)
        is_first = await self._people.set_up(
            user, password_hash, login.access_token, token_hash_of(login.token), noted
        )
        if not is_first:
            raise Conflict(SET_UP)
        self._code_hash = ""
        logger.info("the control plane is set up; its first user is %s", name)
        return login

    async def log_in(self, name: str, password: str, address: str) -> Login:
        """Give a token to whoever has the password. Raises `Unproven`, `TooManyAttempts`, `Busy`."""
        key = name[:LONGEST_NAME].lower()
        attempt = self._attempt(address, key)
        is_stranger = (key, network_of(address)) not in self._known
        found = await self._with_password(key, password, attempt, is_stranger=is_stranger)
        now = seconds_now(self._clock)
        if found is None or found[0].is_disabled:
            await self._note_refused("login", key, address)
            raise Unproven(WRONG)
        attempt.give_back()
        user = found[0]
        self._remember(key, network_of(address))
        login = self._login(user, now)
        noted = Noted(
            at=now,
            user=user.name.value,
            action="login",
            address=address,
            token_id=login.access_token.id,
        )
        await self._people.add_token(
            login.access_token, token_hash_of(login.token), MOST_SESSIONS, noted, found[1]
        )
        return login

    async def log_out(self, by: Principal) -> None:
        """Make the token that was presented worth nothing. Raises `NotFound` for one of no user."""
        noted = noted_by(by, seconds_now(self._clock), "logout")
        await self._people.revoke_token(TokenId(by.token_id), noted)
        self._access.forget()

    async def change_password(self, by: Principal, current: str, new: str) -> None:
        """Give oneself another password; ends one's sessions. Raises `Unproven`, `InvalidInput`."""
        attempt = self._attempt(by.address)
        found = await self._with_password(by.name, current, attempt, is_stranger=False)
        now = seconds_now(self._clock)
        if found is None:
            await self._note_refused("user.password", by.name, by.address)
            raise Unproven("current: it is not the password")
        attempt.give_back()
        check_password(new)
        change = UserChange(password_hash=await self._passwords.hash(new))
        await self._people.change_user(found[0].id, change, noted_by(by, now, "user.password"))
        self._access.forget()

    async def _with_password(
        self, name: str, password: str, attempt: _Attempt, *, is_stranger: bool
    ) -> tuple[User, str] | None:
        """The user whose password that is, and its hash; what cannot be looked at is no attempt."""
        try:
            found = await self._people.password_hash(name)
            is_right = await self._passwords.is_right(
                password, None if found is None else found[1], is_stranger=is_stranger
            )
        except InstaDeployError:
            attempt.give_back()
            raise
        return found if is_right else None

    def _login(self, user: User, now: float) -> Login:
        token = AccessToken(
            TokenId(self._randomness.new_id("tok")),
            user.id,
            "login",
            TokenKind.SESSION,
            now,
            expires_at=now + SESSION_S,
        )
        return Login(user, token, new_token(self._randomness))

    def _attempt(self, address: str, key: str = "") -> _Attempt:
        """Note an attempt, before it is looked at: whoever makes many at once has made them all.

        Raises `TooManyAttempts`, with nothing noted. Whoever has come from there under that name before
        is not kept out by what others get wrong.
        """
        network = network_of(address)
        taken = [(self._from_addresses, network)]
        if (key, network) not in self._known:
            taken.append((self._from_sites, site_of(address)))
            if key:
                taken.append((self._for_names, key))
        now = self._clock.monotonic()
        wait_s = max(attempts.wait_s(who, now) for attempts, who in taken)
        if wait_s > 0:
            raise TooManyAttempts(wait_s)
        for attempts, who in taken:
            attempts.may(who, now)
        return _Attempt(taken, self._clock)

    async def _note_refused(self, action: str, key: str, address: str) -> None:
        if not self._noted.may("", self._clock.monotonic()):
            return
        # What was typed may be a password, in the wrong field: it is in the trail where it is a user's.
        try:
            user = (await self._people.user(key)).name.value if key else ""
        except (NotFound, StorageUnavailable):
            user = ""
        at = seconds_now(self._clock)
        try:
            await self._audit.note(
                Noted(at=at, user=user, action=action, address=address, outcome="refused")
            )
        except StorageUnavailable as exc:
            logger.warning("that somebody was refused is not in the audit trail: %s", exc)

    def _remember(self, key: str, network: str) -> None:
        self._known.pop((key, network), None)
        self._known[key, network] = None
        if len(self._known) > KEPT:
            self._known.pop(next(iter(self._known)))


class _Attempt:
    """One that counts, unless it was right, or could not be looked at."""

    def __init__(self, taken: Sequence[tuple[Attempts, str]], clock: Clock) -> None:
        self._taken = taken
        self._clock = clock

    def give_back(self) -> None:
        """It does not count."""
        now = self._clock.monotonic()
        for attempts, who in self._taken:
            attempts.give_back(who, now)
