"""Secrets that are encrypted in the database, so that a stolen copy does not reveal them.

Fernet (AES-128-CBC with HMAC-SHA256) with a key that HKDF (RFC 5869) derives from `SECRET_KEY`. Secrets sealed with an
older key are opened with `SECRET_KEY_FALLBACKS` until `manage.py reseal` has sealed them again.
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
    """No key opens this secret: `SECRET_KEY` was changed without `SECRET_KEY_FALLBACKS`."""


@lru_cache
def _fernet(*keys: str) -> MultiFernet:
    derived = (HKDF(SHA256(), 32, salt=None, info=b"vestnik.vault").derive(key.encode()) for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])


def _keys() -> MultiFernet:
    return _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def seal(text: str) -> str:
    """Encrypt with the current key. Each call returns another token; an empty text stays empty."""
    return _keys().encrypt(text.encode()).decode() if text else ""


def unseal(token: str) -> str:
    """Return the sealed text. Raises `Locked` if no key opens it, or it was altered."""
    try:
        return _keys().decrypt(token).decode() if token else ""
    except InvalidToken:
        raise Locked("SECRET_KEY_FALLBACKS must name the key that this secret was sealed with.") from None


class _Token(NamedTuple):
    """A secret as stored in the database."""

    text: str


class _UnsealingAttribute(DeferredAttribute):
    """Opens a secret on access, so that a locked one affects nothing else."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        value = super().__get__(instance, owner)
        if isinstance(value, _Token):
            value = instance.__dict__[self.field.attname] = unseal(value.text)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SecretField(models.TextField[str, str]):
    """A text that is encrypted in the database and plain on the instance. It can't be searched."""

    descriptor_class = _UnsealingAttribute

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return the stored value, so that saving a row does not open its secret."""
        return model_instance.__dict__[self.attname]

    def get_prep_value(self, value: Any) -> str:
        """Seal the value, unless it was never opened."""
        return value.text if isinstance(value, _Token) else seal(value)

    def from_db_value(self, value: str, *_: Any) -> _Token:
        """Return a token that is opened on access."""
        return _Token(value)


def reseal() -> int:
    """Seal every secret again with the current key, and return their number."""
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
