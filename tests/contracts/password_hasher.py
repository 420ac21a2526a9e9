"""What every `PasswordHasher` must do."""

from __future__ import annotations

from application.ports.password_hasher import PasswordHasher

PASSWORD = "correct horse battery"


class PasswordHasherContract:
    """A subclass brings the fixture `passwords`."""

    async def test_a_password_is_right_and_another_one_is_not(
        self, passwords: PasswordHasher
    ) -> None:
        kept = await passwords.hash(PASSWORD)
        assert PASSWORD not in kept
        assert await passwords.is_right(PASSWORD, kept, is_stranger=False)
        assert await passwords.is_right(PASSWORD, kept, is_stranger=True)
        assert not await passwords.is_right(PASSWORD + " ", kept, is_stranger=False)
        assert not await passwords.is_right("", kept, is_stranger=True)

    async def test_nobody_has_a_password(self, passwords: PasswordHasher) -> None:
        for guess in ("", PASSWORD, "nobody has this password"):
            assert not await passwords.is_right(guess, None, is_stranger=True)

    async def test_what_is_no_hash_is_no_password(self, passwords: PasswordHasher) -> None:
        assert not await passwords.is_right(PASSWORD, "nonsense", is_stranger=False)
