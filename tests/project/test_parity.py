"""What people can do on pages, programs can do through the API."""

from typing import Final

from tests.project.page_matrix import NOBODY, PAGES
from tests.project.test_permissions import operations

# By address of a page that accepts POST, with its action: the calls that do the same.
CALLS: Final[dict[str, tuple[str, ...]]] = {
    "/account/": ("change_user",),
    "/account/deactivate/": ("delete_user",),
    "/account/tokens/": ("create_token",),
    "/account/tokens/<int:pk>/revoke/": ("delete_token",),
    "/account/tokens/revoke/": ("list_tokens", "delete_token"),
    "/account/webhooks/": ("create_webhook",),
    "/account/webhooks/<int:pk>/delete/": ("delete_webhook",),
    "/users/<int:pk>/": ("change_user",),
    "/users/<int:pk>/activate/": ("change_user",),
    "/users/<int:pk>/deactivate/": ("delete_user",),
    "/users/<int:pk>/promote/": ("change_user",),
    "/users/<int:pk>/demote/": ("change_user",),
    "/gateways/new/": ("create_gateway",),
    "/gateways/probe/": ("change_gateway",),
    "/gateways/probe/check/": ("check_gateway",),
    "/gateways/probe/send/": ("test_gateway",),
    "/gateways/probe/prices/": ("set_prices",),
    "/gateways/probe/prices/import/": ("set_prices",),
    "/gateways/probe/prices/<int:pk>/delete/": ("set_prices",),
    "/contacts/new/": ("create_contact",),
    "/contacts/<int:pk>/edit/": ("change_contact",),
    "/contacts/<int:pk>/erase/": ("erase_contact",),
    "/contacts/<int:pk>/deactivate/": ("delete_contact",),
    "/contacts/<int:pk>/reactivate/": ("change_contact",),
    "/contacts/bulk/begin/": ("create_bulk_action",),
    "/contacts/tags/<int:pk>/": ("change_tag",),
    "/contacts/tags/<int:pk>/merge/": ("merge_tag",),
    "/contacts/tags/<int:pk>/delete/": ("delete_tag",),
    "/contacts/audiences/new/": ("create_audience",),
    "/contacts/audiences/count/": ("count_audience",),
    "/contacts/audiences/<int:pk>/": ("change_audience",),
    "/contacts/audiences/<int:pk>/delete/": ("delete_audience",),
    "/contacts/suppression/": ("create_suppression", "create_suppressions"),
    "/contacts/suppression/<int:phone>/": ("delete_suppression",),
    "/contacts/imports/": ("create_import",),
    "/contacts/imports/<int:pk>/": ("start_import",),
    "/contacts/imports/<int:pk>/look/": ("change_import",),
    "/contacts/imports/<int:pk>/stop/": ("stop_import",),
    "/contacts/imports/<int:pk>/undo/": ("undo_import",),
    "/contacts/imports/<int:pk>/discard/": ("delete_import",),
    "/campaigns/new/": ("create_campaign",),
    "/campaigns/preview/": ("preview_campaign",),
    "/campaigns/test/": ("send_message",),
    "/campaigns/<int:pk>/preview/": ("preview_campaign",),
    "/campaigns/<int:pk>/duplicate/": ("duplicate_campaign",),
    "/campaigns/<int:pk>/continue/": ("change_campaign", "resume_campaign"),
    "/campaigns/<int:pk>/edit/": ("change_campaign",),
    "/campaigns/<int:pk>/test/": ("test_campaign",),
    "/campaigns/<int:pk>/launch/": ("change_campaign",),
    "/campaigns/<int:pk>/withdraw/": ("change_campaign",),
    "/campaigns/<int:pk>/pause/": ("pause_campaign",),
    "/campaigns/<int:pk>/resume/": ("resume_campaign",),
    "/campaigns/<int:pk>/cancel/": ("cancel_campaign",),
    "/campaigns/<int:pk>/delete/": ("delete_campaign",),
    "/campaigns/<int:pk>/retry-failed/": ("retry_failed",),
    "/campaigns/<int:pk>/unknown-retry/": ("settle_unknown",),
    "/campaigns/<int:pk>/unknown-resend/": ("settle_unknown",),
    "/campaigns/<int:pk>/unknown-sent/": ("settle_unknown",),
    "/campaigns/<int:pk>/unknown-failed/": ("settle_unknown",),
    "/campaigns/<int:pk>/messages/<int:message_pk>/retry/": ("retry_message",),
    "/campaigns/<int:pk>/messages/<int:message_pk>/resend/": ("resend_message",),
    "/campaigns/<int:pk>/messages/<int:message_pk>/sent/": ("mark_message",),
    "/campaigns/<int:pk>/messages/<int:message_pk>/failed/": ("mark_message",),
}

# Pages without a call, by the beginning of their address, and the reason.
WITHOUT: Final[dict[str, str]] = {
    "/accounts/": "sign-in and second factors need a person; POST /users signs up",
    "/account/sessions/": "browser sessions are ended in the browser",
    "/account/webhooks/<int:pk>/enable/": "a program deletes the webhook and adds it again",
    "/account/webhooks/<int:pk>/deliveries/": "people resend after reading the log; programs get repeats for a day",
    "/gateways/probe/sample/": "explains an answer to a person; stores and sends nothing",
    "/users/invite/": "an invitation is a link for a person",
    "/users/<int:pk>/reinvite/": "an invitation is a link for a person",
    "/users/<int:pk>/withdraw/": "an invitation is a link for a person",
    "/users/<int:pk>/unlock/": "second factors are reset by a person who has checked who asks",
    "/reports/email/": "the reports that Vestnik sends to the person who reads them",
    "/i18n/setlang/": "the language of the browser",
    "/contacts/bulk/": "only asks for confirmation",
    "/api/": "no page",
    "/docs/": "changes nothing",
}


def actions() -> list[str]:
    """The addresses of all pages that accept POST, with each of their actions."""
    return [path for address, page in PAGES.items() if page.post != NOBODY for path in page.paths(address)]


def test_every_action_of_a_page_has_a_call_or_a_reason() -> None:
    assert [path for path in actions() if path not in CALLS and not path.startswith(tuple(WITHOUT))] == []


def test_every_call_and_reason_is_of_use() -> None:
    found = actions()
    assert CALLS.keys() <= set(found)
    assert {name for names in CALLS.values() for name in names} <= operations().keys()
    assert [start for start in WITHOUT if not any(path.startswith(start) for path in found)] == []
