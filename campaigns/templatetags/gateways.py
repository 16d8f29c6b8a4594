"""`{% load gateways %}`: what a provider can do, and what a rule says."""

from django import template
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from campaigns.gateways import registry
from campaigns.gateways.definitions.schema import Definition, Rule
from campaigns.gateways.protocol import Outcome, Verdict
from campaigns.models import Gateway

register = template.Library()


@register.filter
def lacks_ids(outcome: Outcome, gateway: Gateway) -> bool:
    """Whether an accepted message has no id, although the description says where it is."""
    definition = registry.definition_of(gateway)
    return bool(outcome.verdict == Verdict.SENT and definition and definition.answer.ids and not outcome.ids)


@register.filter
def abilities(definition: Definition) -> str:
    """What a provider can do: `Receipts, incoming messages, sender names`."""
    words = {
        _("receipts"): definition.receipts or definition.pull,
        _("incoming messages"): definition.incoming,
        _("sender names"): definition.sender != "unsupported",
    }
    return capfirst(", ".join(word for word, there in words.items() if there) or _("sending only"))


@register.filter
def inabilities(definition: Definition) -> str:
    """What a provider or its description lacks."""
    words = {_("receipts"): definition.receipts or definition.pull, _("incoming messages"): definition.incoming}
    return ", ".join(word for word, there in words.items() if not there)


@register.filter
def rule_words(numbered: tuple[int, Rule]) -> str:
    """The conditions of a rule in the words of the description."""
    _number, rule = numbered
    path = rule.path.text if rule.path else ""
    texts = {"equals": rule.equals, "starts": rule.starts, "contains": rule.contains}
    conditions = [f"status = {', '.join(rule.status)}"] if rule.status else []
    conditions += [f"{path} {name} {', '.join(values)}" for name, values in texts.items() if values]
    if rule.exists is not None:
        conditions.append(f"{path} exists = {str(rule.exists).lower()}")
    return "; ".join(conditions) or "—"
