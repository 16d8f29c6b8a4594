"""OpenID Connect as specified, on top of allauth's flow.

The types of the provider's answers are checked before allauth sees them. Beyond allauth: an issuer may end with a slash
(Discovery 1.0, 4.1), the `iss` of the answer is compared (RFC 9207), a nonce binds the ID token to the sign-in, and
the UserInfo must have the subject of the ID token (Core 1.0, 3.1.3.7 and 5.3.2).
"""

import hashlib
from typing import Annotated, Any, Final, TypeVar

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest
from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictStr, ValidationError

from project.http.body import Text

_MAX_SUBJECT: Final = 191
"""The longest subject that allauth stores."""
_MAX_CLAIM: Final = 254
_CLAIMS: Final = ("sub", "email", "email_verified", "given_name", "family_name", "name")
M = TypeVar("M", bound=BaseModel)


def _text_or_nothing(value: Any) -> str:
    """Treat a claim as missing if it is not text, is too long, or can't be stored."""
    unusable = not isinstance(value, str) or len(value) > _MAX_CLAIM or "\0" in value
    return "" if unusable or any("\ud800" <= character <= "\udfff" for character in value) else value


def _is_true(value: Any) -> bool:
    """Some providers send booleans as text."""
    return value is True or value == "true"


_Claim = Annotated[str, BeforeValidator(_text_or_nothing)]


class _Claims(BaseModel):
    """The claims that we use (Core 1.0, 5.1)."""

    sub: Annotated[Text, StrictStr, Field(min_length=1, max_length=_MAX_SUBJECT)]
    email: _Claim = ""
    email_verified: Annotated[bool, BeforeValidator(_is_true)] = False
    given_name: _Claim = ""
    family_name: _Claim = ""
    name: _Claim = ""


class _Discovery(BaseModel):
    """The provider metadata that we use (Discovery 1.0, 3)."""

    issuer: StrictStr
    authorization_endpoint: StrictStr
    token_endpoint: StrictStr
    jwks_uri: StrictStr
    userinfo_endpoint: StrictStr = ""
    token_endpoint_auth_methods_supported: list[StrictStr] = ["client_secret_basic"]
    authorization_response_iss_parameter_supported: StrictBool = False


class _TokenAnswer(BaseModel):
    """The fields of the token endpoint's answer that we use (Core 1.0, 3.1.3.3)."""

    access_token: StrictStr
    id_token: StrictStr


def _parse(model: type[M], answer: Any) -> M:
    """Parse the provider's answer. Raises OAuth2Error if it is malformed; allauth shows that as a failed sign-in."""
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        raise OAuth2Error(f"The provider's answer is no {model.__name__.strip('_')}.") from error


def discovery_of(answer: Any) -> dict[str, Any]:
    """Parse the provider's metadata."""
    return _parse(_Discovery, answer).model_dump()


def token_answer_of(answer: Any) -> dict[str, Any]:
    """Parse the answer of the token endpoint."""
    return _parse(_TokenAnswer, answer).model_dump()


def trusted_claims(id_token: Any, userinfo: Any) -> dict[str, Any]:
    """Return the claims of the UserInfo, which must have the subject of the ID token."""
    claims = _parse(_Claims, userinfo)
    if claims.sub != _parse(_Claims, id_token).sub:
        raise OAuth2Error("The UserInfo is about another subject than the ID token.")
    return claims.model_dump()


def _nonce_of(code_verifier: str) -> str:
    """Return the nonce of a sign-in, which does not reveal the verifier, a secret of the session."""
    return hashlib.sha256(f"nonce:{code_verifier}".encode()).hexdigest()


class OidcAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth is not typed
    """One exchange with the provider."""

    _metadata: dict[str, Any] | None = None
    _nonce = ""

    @property
    def openid_config(self) -> dict[str, Any]:
        """The provider's metadata, fetched once."""
        if self._metadata is None:
            provider = self.get_provider()
            with get_adapter().get_requests_session() as session:
                response = session.get(provider.server_url)
                response.raise_for_status()
            overrides = provider.app.settings.get("openid_configuration_overrides", {})
            self._metadata = {**discovery_of(response.json()), **overrides}
        return self._metadata

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str = ""
    ) -> dict[str, Any]:
        """Exchange the browser's code for tokens, if the answer comes from this issuer."""
        self._check_issuer(request)
        self._nonce = _nonce_of(pkce_code_verifier)
        try:
            answer = super().get_access_token_data(request, app, client, pkce_code_verifier=pkce_code_verifier)
        except (KeyError, TypeError) as error:  # allauth expects an object, and a Content-Type
            raise OAuth2Error("The token endpoint's answer can't be read.") from error
        return token_answer_of(answer)

    def _check_issuer(self, request: HttpRequest) -> None:
        issuer = request.GET.get("iss")
        expected = self.openid_config
        if issuer is None and not expected["authorization_response_iss_parameter_supported"]:
            return
        if issuer != expected["issuer"]:
            raise OAuth2Error("The answer comes from another issuer.")

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        """Return the sign-in of the user whom the tokens identify."""
        id_token = self._decode_id_token(app, kwargs["response"]["id_token"])
        if id_token.get("nonce") != self._nonce:
            raise OAuth2Error("The ID token belongs to another sign-in.")
        has_userinfo = self.openid_config["userinfo_endpoint"]
        userinfo = self._fetch_user_info(token.token) if has_userinfo else id_token
        return self.get_provider().sociallogin_from_response(request, trusted_claims(id_token, userinfo))


class OidcProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """The provider of `OIDC_URL`."""

    oauth2_adapter_class = OidcAdapter

    def wk_server_url(self, url: str) -> str:
        """Return the URL of the provider's metadata."""
        address: str = super().wk_server_url(url.rstrip("/"))
        return address

    def get_pkce_params(self) -> dict[str, str]:
        """Return the PKCE parameters and the nonce derived from them."""
        parameters: dict[str, str] = super().get_pkce_params()
        return {**parameters, "nonce": _nonce_of(parameters["code_verifier"])}
