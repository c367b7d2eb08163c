"""Alerts as text messages: Twilio's REST API, without its SDK."""

import base64
import re
from typing import Annotated
from urllib.parse import urlencode

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from heartbeat_central.alerts.base import AlertPlugin, Outbound, PluginConfig, TwilioDefaults
from heartbeat_central.alerts.http import HttpRequest
from heartbeat_central.alerts.outcome import Rule, Verdict, hand_over
from heartbeat_central.alerts.sms.message import build_text
from heartbeat_central.domain.alert import Envelope
from heartbeat_central.domain.errors import PermanentFailure

# https://www.twilio.com/docs/api/errors. What is not listed follows its HTTP status.
RULES = (
    Rule(code=20429, verdict=Verdict.TEMPORARY, hint="too many requests"),
    Rule(code=14107, verdict=Verdict.TEMPORARY, hint="too many messages"),
    Rule(code=21611, verdict=Verdict.TEMPORARY, hint="the sender's queue is full"),
    Rule(code=30001, verdict=Verdict.TEMPORARY, hint="the sender's queue is full"),
    Rule(code=30022, verdict=Verdict.TEMPORARY, hint="too many messages"),
    Rule(code=63038, verdict=Verdict.TEMPORARY, hint="the account's daily limit is reached"),
    Rule(code=20003, verdict=Verdict.PERMANENT, hint="check the account SID and the auth token"),
    Rule(code=20005, verdict=Verdict.PERMANENT, hint="the Twilio account is not active"),
    Rule(code=21211, verdict=Verdict.PERMANENT, hint="check the number"),
    Rule(code=21212, verdict=Verdict.PERMANENT, hint="check the sender's number"),
    Rule(code=21408, verdict=Verdict.PERMANENT, hint="allow that country in the Twilio console"),
    Rule(code=21606, verdict=Verdict.PERMANENT, hint="the sender's number can't send messages"),
    Rule(code=21608, verdict=Verdict.PERMANENT, hint="a trial account: verify the number first"),
    Rule(code=21610, verdict=Verdict.PERMANENT, hint="the recipient has answered STOP"),
    Rule(code=21614, verdict=Verdict.PERMANENT, hint="not a mobile number"),
    Rule(code=21659, verdict=Verdict.PERMANENT, hint="the sender's number is not of the account"),
    Rule(code=30002, verdict=Verdict.PERMANENT, hint="the Twilio account is suspended"),
)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"\+?[0-9]{3,15}|MG[0-9a-fA-F]{32}|(?=.*[A-Za-z])[A-Za-z0-9 _&+-]{1,11}")
_SID = re.compile(r"[A-Za-z0-9_-]{2,64}")


def _number(number: str) -> str:
    compact = re.sub(r"[ ().-]", "", number)
    if not _E164.fullmatch(compact):
        raise ValueError("must be a number with its country code, like `+15551234567`")
    return compact


def _sender(sender: str) -> str:
    compact = re.sub(r"[ ().-]", "", sender)
    sender = compact if _E164.fullmatch(compact) else sender
    if not _SENDER.fullmatch(sender):
        raise ValueError(
            "must be a number like `+15551234567`, a short code, a sender name of up to 11 letters "
            "or a messaging service (`MG…`)"
        )
    return sender


def _sid(sid: str) -> str:
    if not _SID.fullmatch(sid):
        raise ValueError("must be an account SID, `AC` and 32 letters and digits")
    return sid


class SmsConfig(PluginConfig):
    """Who gets the message, and through which account when not the operator's."""

    to_number: Annotated[str, AfterValidator(_number)] = Field(
        title="To",
        description="With the country code.",
        examples=["+15551234567"],
    )
    account_sid: Annotated[str, AfterValidator(_sid)] | None = Field(
        default=None,
        title="Twilio account SID",
        description="Empty: the account set by the operator.",
        examples=["AC0123456789abcdef0123456789abcdef"],
    )
    auth_token: SecretStr | None = Field(
        default=None,
        validate_default=True,
        title="Twilio auth token",
        description="Belongs to the account SID.",
        max_length=200,
    )
    from_number: Annotated[str, AfterValidator(_sender)] | None = Field(
        default=None,
        title="From",
        description="A number of the account. Empty: the number set by the operator.",
        examples=["+15557654321"],
    )

    @field_validator("auth_token")
    @classmethod
    def _both_or_none(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        sid = info.data.get("account_sid")
        if "account_sid" in info.data and (sid is None) != (token is None):
            raise ValueError("and `account_sid` must be given together, or neither")
        return token


class SmsPlugin(AlertPlugin[SmsConfig]):
    """Sends one message of at most two parts."""

    type = "sms"
    label = "SMS"
    summary = "Sends a text message through Twilio."
    Config = SmsConfig

    def build(
        self, envelope: Envelope, config: SmsConfig, twilio: TwilioDefaults | None = None
    ) -> HttpRequest:
        """Return the request. Raises PermanentFailure when account or sender is set nowhere."""
        twilio = twilio or TwilioDefaults()
        token = config.auth_token.get_secret_value() if config.auth_token else twilio.auth_token
        sid = config.account_sid or twilio.account_sid
        sender = config.from_number or twilio.from_number
        if not sid or not token or not sender:
            raise PermanentFailure(
                "no Twilio account: give the channel `account_sid`, `auth_token` and `from_number`, "
                "or let the operator set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM_NUMBER"
            )
        by = "MessagingServiceSid" if sender.startswith("MG") and len(sender) == 34 else "From"
        form = {"To": config.to_number, by: sender, "Body": build_text(envelope.alert)}
        credentials = base64.b64encode(f"{sid}:{token}".encode()).decode()
        return HttpRequest(
            url=f"{twilio.api_url.rstrip('/')}/2010-04-01/Accounts/{sid}/Messages.json",
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                "Authorization": f"Basic {credentials}",
            },
            body=urlencode(form).encode(),
        )

    def send(self, envelope: Envelope, config: SmsConfig, outbound: Outbound) -> str:
        """Hand it to Twilio; done when Twilio has queued it."""
        hand_over(
            outbound.operator_http,
            self.build(envelope, config, outbound.twilio),
            now=envelope.sent_at,
            timeout=outbound.timeout,
            rules=RULES,
        )
        return "queued by Twilio"
