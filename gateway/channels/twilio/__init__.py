"""A carrier that is Twilio: texts leave by its web interface, answers and receipts come to doors of ours."""

from gateway.channels.twilio.channel import TwilioChannel, channel
from gateway.channels.twilio.failures import failure
from gateway.channels.twilio.settings import TwilioCarrier

__all__ = ["TwilioCarrier", "TwilioChannel", "channel", "failure"]
