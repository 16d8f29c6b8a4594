"""The models of campaigns: definition, runs, messages in both directions, gateways."""

from campaigns.models.campaign import MAX_TEXT_LENGTH, RECORDED, Campaign, CampaignQuerySet
from campaigns.models.exchange import Exchange
from campaigns.models.gateway import GATEWAY_RECORDED, Gateway, GatewayHour, GatewayQuerySet, RateLimitState
from campaigns.models.incoming import MAX_ADDRESS, IncomingMessage
from campaigns.models.message import (
    MAX_PROVIDER_ID,
    Attempt,
    Lease,
    Message,
    MessageQuerySet,
    ProviderId,
    WaitingReceipt,
)
from campaigns.models.price import Price, RunCost
from campaigns.models.run import NOTHING_OPEN, Run, RunMinute, RunQuerySet, RunReason
from campaigns.models.unsaved import Unsaved

__all__ = [
    "GATEWAY_RECORDED",
    "MAX_ADDRESS",
    "MAX_PROVIDER_ID",
    "MAX_TEXT_LENGTH",
    "NOTHING_OPEN",
    "RECORDED",
    "Attempt",
    "Campaign",
    "CampaignQuerySet",
    "Exchange",
    "Gateway",
    "GatewayHour",
    "GatewayQuerySet",
    "IncomingMessage",
    "Lease",
    "Message",
    "MessageQuerySet",
    "Price",
    "ProviderId",
    "RateLimitState",
    "Run",
    "RunCost",
    "RunMinute",
    "RunQuerySet",
    "RunReason",
    "Unsaved",
    "WaitingReceipt",
]
