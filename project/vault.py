"""Secrets that the database keeps and a stolen copy of it does not give away.

Encrypted by Fernet (AES-128-CBC with HMAC-SHA256) under a key that HKDF (RFC 5869) makes of `SECRET_KEY`. What an older
key has sealed, `SECRET_KEY_FALLBACKS` still open, until `manage.py reseal` has written everything anew.
"""

import base64
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models.query_utils import DeferredAttribute


class Locked(Exception):
    """No key that we have opens this secret: `SECRET_KEY` was changed without `SECRET_KEY_FALLBACKS`."""


@lru_cache
def _fernet(*keys: str) -> MultiFernet:
    derived = (HKDF(SHA256(), 32, salt=None, info=b"vestnik.vault").derive(key.encode()) for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])


def _keys() -> MultiFernet:
    return _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def seal(text: str) -> str:
    """Encrypt under today's key; the same text gives another token each time. Nothing stays nothing."""
    return _keys().encrypt(text.encode()).decode() if text else ""


def unseal(token: str) -> str:
    """What was sealed. `Locked` if no key opens it, or somebody has changed it."""
    try:
        return _keys().decrypt(token).decode() if token else ""
    except InvalidToken:
        raise Locked("SECRET_KEY_FALLBACKS must name the key that this secret was sealed with.") from None


class _Token(NamedTuple):
    """A secret as it lies in the database."""

    text: str


class _Unsealing(DeferredAttribute):
    """Opens a secret when it is asked for, so that one that is locked spoils nothing else."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        value = super().__get__(instance, owner)
        if isinstance(value, _Token):
            value = instance.__dict__[self.field.attname] = unseal(value.text)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SecretField(models.TextField[str, str]):
    """A text that is encrypted in the database and in clear on the instance; it can't be searched for."""

    descriptor_class = _Unsealing

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """As it is: a row that is saved need not be opened."""
        return model_instance.__dict__[self.attname]

    def get_prep_value(self, value: Any) -> str:
        """Sealed; what has not been opened stays as it is."""
        return value.text if isinstance(value, _Token) else seal(value)

    def from_db_value(self, value: str, *_: Any) -> _Token:
        """To be opened when it is asked for."""
        return _Token(value)


def reseal() -> int:
    """Write every secret anew under today's key, and return how many there were."""
    number = 0
    for model in apps.get_models():
        names = [field.attname for field in model._meta.local_fields if isinstance(field, SecretField)]
        for pk in model._base_manager.values_list("pk", flat=True) if names else []:
            with transaction.atomic():
                row = model._base_manager.select_for_update().filter(pk=pk).first()
                if row is not None:
                    model._base_manager.filter(pk=pk).update(**{name: getattr(row, name) for name in names})
                    number += len(names)
    return number
