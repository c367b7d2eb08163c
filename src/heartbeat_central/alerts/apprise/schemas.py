"""Which Apprise URLs are taken. Data: a schema that is not listed is refused.

Left out are those that act on this machine instead of the network (syslog, dbus, gnome, macosx,
windows, blink1), that read key files or keep accounts on its disk (fcm, vapid, deltachat), and
those with a network protocol of their own, which the guard and the deadline don't cover (rsyslog,
mqtt, amqp, irc, xmpp, smpp, aprs, nostr).
"""

import re
from urllib.parse import parse_qsl

ALLOWED = frozenset(
    """
    46elks elks eight00com ses sns atalk apprise apprises bark barks betterstack bsky bluesky
    brevo bulksms bulkvs cm chanify wxteams webex clicksend clickatell d7sms dapnet dingtalk
    discord dot mailto mailtos emby embys enigma2 enigma2s evolution evolutions exotel feishu
    firehydrant flock flowtriq flowtriqs fluxer fluxers form forms freemobile github goalert
    goalerts gchat gorush gorushs gotify gotifys groundmail groupme guilded gupshup hassio
    hassios humhub humhubs ifttt infobip json jsons jellyfin jellyfins jira join kakaotalk kakao
    kaleyra klr kavenegar kodi xbmc kodis xbmcs kook burstsms kudosity kumulos lfg lametric
    lametrics lark lauther line msg91 mailersend mailgun mastodon toot mastodons toots matrix
    matrixs mmost mmosts msgbird misskey misskeys mobilemessage mobilemsg ncloud nclouds nctalk
    nctalks notica noticas notifiarr notifico notificos notifyre octopush azure o365 onebot
    onebots onesignal opsgenie pagerduty pagertree parsep parseps pinglet pinglets pingram plivo
    postmark workflow workflows prowl pushdeer pushdeers pushme pushward pbul pushed pjet pjets
    pover pushplus wecom psafer psafers pushy qq reddit resend revolt ringc rocket rockets ryver
    signl4 smseagle smseagles smsmgr smsmanager smsc smstunnel smtp2go sendgrid sendpulse schan
    serwersms session sessions sogs signal signals signalgrid spush simplepush sinch slack sfr
    sparkpost spike splunk victorops spugpush squadcast stackfield strmlabs synology synologys
    push tgram telesign telnyx threema trigv trigvs twilio twist x twitter tweet viber voipms
    vonage nexmo wpush wechat wecombot whapi whatsapp wxpusher xml xmls youlmk zalo cliq zcliq
    zohocliq zoom zulip httpsms ilert incidentio ntfy ntfys seven xmatters
    """.split()  # noqa: SIM905  two hundred lines otherwise
)
NAMES_A_HOST = frozenset(
    """
    apprise apprises form forms gotify gotifys json jsons mailto mailtos matrix matrixs mmost
    mmosts rocket rockets xml xmls
    """.split()  # noqa: SIM905  two hundred lines otherwise
)
"""Here the part after `://` is a host; elsewhere it can be a token."""
READS_FILES = {
    **dict.fromkeys(("discord", "slack", "tgram", "workflow", "workflows"), ("template",)),
    **dict.fromkeys(("mailto", "mailtos"), ("pgp", "pgppub", "pgpprv", "wkd", "smime")),
}
"""Options that name a file on this machine or make Apprise write one. (Elsewhere `template` is the
name of one that the service keeps.)"""


def check(url: str) -> str:
    """Return the schema of an Apprise URL that is taken. Raises ValueError that says why it is not."""
    if re.search(r"[\x00-\x20\x7f]", url):
        raise ValueError("must be one URL, without spaces or control characters")
    match = re.match(r"([A-Za-z0-9]+)://.", url)
    if match is None:
        raise ValueError("must be an Apprise URL like `gotify://host/token`")
    schema = match[1].lower()
    if schema not in ALLOWED:
        raise ValueError(f"must not be a `{schema}://` URL: it is unknown or acts on this machine")
    options = {name.lower().strip() for name, _ in parse_qsl(url.partition("?")[2], True)}
    for option in READS_FILES.get(schema, ()):
        if any(name.startswith(option) for name in options):
            raise ValueError(f"must not have the option `{option}`: it uses files of this machine")
    return schema


def secrets_of(url: str) -> list[str]:
    """Return the parts of a URL that no message may show, the longest first."""
    schema, _, rest = url.partition("://")
    parts = {url, *re.split(r"[/?&=:@]", rest)}
    if schema.lower() in NAMES_A_HOST:
        parts.discard(host_of(url))
    return sorted((part for part in parts if len(part) >= 6), key=len, reverse=True)


def host_of(url: str) -> str:
    """Return the host of a URL of a schema that names one."""
    authority = re.split(r"[/?#]", url.partition("://")[2])[0]
    return authority.rpartition("@")[2].partition(":")[0]
