"""Users and tokens of the JSON API."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Field, Path, Query, Router, Schema, Status
from ninja.errors import HttpError

from accounts import services
from accounts.api_access.idempotency import idempotent
from accounts.api_access.tokens import anyone
from accounts.models import ApiToken, Scope, User
from project.core.money import plain
from project.http.body import Amount, AwareMoment, Body, Error, Flag, Line, Text
from project.http.client import UserRequest
from project.http.paging import ListQuery, Page, keyset, page_of

users = Router(tags=["users"])
tokens = Router(tags=["tokens"])

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Email = Annotated[Line, Field(max_length=254, description="The login; case is ignored", examples=["a@b.org"])]
Password = Annotated[Text, Field(min_length=1, max_length=1000)]
Name = Annotated[Line, Field(max_length=150, description="Letters, spaces, hyphens, apostrophes")]
Zone = Annotated[Line, Field(max_length=64, description="IANA time zone", examples=["Europe/Moscow"])]


class UserOut(Schema):
    """A user."""

    id: int
    email: str
    first_name: str
    last_name: str
    timezone: str
    language: str
    daily_report: bool = Field(description="Whether they get the daily report by e-mail")
    weekly_report: bool = Field(description="Whether they get the weekly report by e-mail, on Mondays")
    empty_reports: bool = Field(description="Whether reports without activity are sent, too")
    monthly_budget: str | None = Field(examples=["100.00"])
    is_staff: bool = Field(description="Whether they are an administrator")
    is_active: bool
    date_joined: datetime

    @staticmethod
    def resolve_monthly_budget(user: User) -> str | None:
        """Return the exact amount."""
        return None if user.monthly_budget is None else plain(user.monthly_budget)


class UserIn(Body):
    """A new user."""

    email: Email
    password: Password
    first_name: Name = Field(min_length=1)
    last_name: Name = Field(min_length=1)


class UserPatch(Body):
    """Changes; an omitted field keeps its value."""

    # Factories, so that the documentation shows no default: a field that is not sent is never set.
    first_name: Name = Field(default_factory=str)
    last_name: Name = Field(default_factory=str)
    timezone: Zone = Field(default_factory=str)
    language: Line = Field(default_factory=str, max_length=8, description="`en` or `ru`")
    daily_report: Flag = Field(default_factory=bool)
    weekly_report: Flag = Field(default_factory=bool)
    empty_reports: Flag = Field(default_factory=bool)
    monthly_budget: Amount | None = Field(
        default_factory=lambda: None,
        description="Administrators only; the user's campaigns pause before they cost more in a month; null: no limit",
    )
    is_staff: Flag = Field(default_factory=bool, description="Administrators only")
    is_active: Flag = Field(default_factory=bool, description="Administrators only")


class TokenIn(Body):
    """The account to issue a token for."""

    email: Email
    password: Password
    code: Line | None = Field(
        None,
        max_length=50,
        description="Code of the second factor or a recovery code, if the account has a second factor",
    )
    name: Line = Field("", max_length=100, description="What the token is for", examples=["Nightly import"])
    scopes: list[Scope] = Field(
        default_factory=lambda: list(Scope),
        min_length=1,
        max_length=3,
        description="What it may do; everything by default",
    )
    expires_at: AwareMoment | None = Field(None, description="null: in a year; at most five years ahead")


class TokenOut(Schema):
    """A token without its secret."""

    id: int
    name: str
    prefix: str = Field(description="The first characters of the token", examples=["vst_8GfKz1Qx"])
    scopes: list[Scope] = Field(description="What it may do")
    created_at: datetime
    expires_at: datetime = Field(description="When it expires; requests then get 401")
    last_used_at: datetime | None = Field(description="Last use, to the minute; null: never used")
    revoked_at: datetime | None = Field(description="null: not revoked")


class NewToken(Schema):
    """A token with its secret, which is shown only once."""

    id: int
    name: str
    token: str
    expires_at: datetime


@users.post("", auth=anyone, response={201: UserOut, 403: Error, 422: Error, 429: Error}, summary="Sign up")
@idempotent
def create_user(request: HttpRequest, body: UserIn) -> Status[User]:
    """Open to everyone while sign-up is enabled; otherwise 403."""
    return Status(201, services.user_register(request=request, **body.dict()))


@users.get("", response={200: Page[UserOut], 401: Error, 403: Error}, summary="List users")
def list_users(request: UserRequest, query: Query[ListQuery]) -> dict[str, Any]:
    """Administrators only, newest first."""
    if not request.user.is_staff:
        raise HttpError(403, _("Only administrators can view all users."))
    return page_of(keyset(User.objects.all(), query.cursor, query.limit), UserOut.from_orm)


@users.get("/me", response={200: UserOut, 401: Error}, summary="Show yourself")
def show_me(request: UserRequest) -> User:
    """The token's user."""
    user: User = request.user
    return user


@users.get("/{user_id}", response={200: UserOut, 401: Error, 403: Error, 404: Error}, summary="Show a user")
def show_user(request: UserRequest, user_id: Id) -> User:
    """The user themselves and administrators."""
    return _user(request, user_id)


@users.patch(
    "/{user_id}",
    response={200: UserOut, 401: Error, 403: Error, 404: Error, 409: Error, 422: Error},
    summary="Change a user",
)
def change_user(request: UserRequest, user_id: Id, body: UserPatch) -> User:
    """The user themselves and administrators. Only administrators change rights and budgets; one must remain (409)."""
    return services.user_update(user=_user(request, user_id), by=request.user, **body.dict(exclude_unset=True))


@users.delete(
    "/{user_id}",
    response={204: None, 401: Error, 403: Error, 404: Error, 409: Error},
    summary="Deactivate a user",
)
def delete_user(request: UserRequest, user_id: Id) -> Status[None]:
    """Sessions and tokens end at once; the user's objects remain."""
    services.user_deactivate(user=_user(request, user_id), by=request.user)
    return Status(204, None)


def _user(request: UserRequest, user_id: int) -> User:
    """Return the user of the URL, or raise PermissionDenied if the caller may not see them."""
    user = get_object_or_404(User, pk=user_id)
    services.check_may_change_user(user=user, by=request.user)
    return user


@tokens.post(
    "", auth=anyone, response={201: NewToken, 401: Error, 403: Error, 422: Error, 429: Error}, summary="Issue a token"
)
def create_token(request: HttpRequest, body: TokenIn) -> Status[dict[str, Any]]:
    """Takes an e-mail, a password and the code of a second factor. Shows the token once. Default lifetime: a year."""
    try:
        row, secret = services.token_issue(request=request, **body.dict())
    except services.NotSignedIn as error:
        raise HttpError(401, str(error)) from error
    return Status(201, {"id": row.pk, "name": row.name, "token": secret, "expires_at": row.expires_at})


@tokens.get("", response={200: Page[TokenOut], 401: Error}, summary="List your tokens")
def list_tokens(request: UserRequest, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first, including expired tokens, without their secrets."""
    return page_of(keyset(ApiToken.objects.filter(user=request.user), query.cursor, query.limit), TokenOut.from_orm)


@tokens.delete("/{token_id}", response={204: None, 401: Error, 403: Error, 404: Error}, summary="Revoke a token")
def delete_token(request: UserRequest, token_id: Id) -> Status[None]:
    """Only the owner may. Requests with the token get 401 at once."""
    services.token_revoke(token=get_object_or_404(ApiToken, pk=token_id), by=request.user)
    return Status(204, None)
