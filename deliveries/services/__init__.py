"""Every way in which events, deliveries and lanes change. Views, tasks, commands and admin call nothing else."""

from deliveries.services.new_event import Accepted, NewEvent
from deliveries.services.publish import publish, publish_batch

__all__ = ["Accepted", "NewEvent", "publish", "publish_batch"]
