"""What campaigns keep, a file for each of: the definition, its runs, their messages, the gateways."""

from campaigns.models.campaign import MAX_TEXT_LENGTH, RECORDED, Campaign, CampaignQuerySet, fingerprint_of
from campaigns.models.gateway import GATEWAY_RECORDED, Gateway, GatewayHour, GatewayQuerySet, Kind, Pace
from campaigns.models.message import Attempt, Lease, Message, MessageQuerySet, WaitingReceipt
from campaigns.models.run import Run, RunMinute, RunQuerySet, RunReason

__all__ = [
    "GATEWAY_RECORDED",
    "MAX_TEXT_LENGTH",
    "RECORDED",
    "Attempt",
    "Campaign",
    "CampaignQuerySet",
    "Gateway",
    "GatewayHour",
    "GatewayQuerySet",
    "Kind",
    "Lease",
    "Message",
    "MessageQuerySet",
    "Pace",
    "Run",
    "RunMinute",
    "RunQuerySet",
    "RunReason",
    "WaitingReceipt",
    "fingerprint_of",
]
